//! Which carrier, chosen by a URL.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::client::Bus;
use super::memory::MemoryTransport;
use super::transport::Transport;
use crate::shutdown::Tasks;

/// Where the bus is.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// `amqp://user:password@host:5672/%2f`, `amqps://…`, or `memory://` for a fresh broker in this process.
    pub url: String,
    /// The authority that the broker's certificate must come from, in PEM; for `amqps://` only.
    pub ca_file: Option<PathBuf>,
    /// How many messages of a queue are worked on at a time; for those who call `Transport::consume`.
    pub prefetch: u16,
    /// Seconds between signs of life on the connection; two of them missed, and it is lost.
    pub heartbeat: u16,
}

impl BusSettings {
    /// This URL, and the defaults for everything else.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ca_file: None, prefetch: 64, heartbeat: 10 }
    }
}

impl Default for BusSettings {
    /// RabbitMQ on this machine, as it is installed.
    fn default() -> Self {
        Self::at("amqp://guest:guest@127.0.0.1:5672/%2f")
    }
}

impl fmt::Debug for BusSettings {
    /// The URL is not shown: it holds the password.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, ca_file, prefetch, heartbeat } = self;
        out.debug_struct("BusSettings")
            .field("url", &"…")
            .field("ca_file", ca_file)
            .field("prefetch", prefetch)
            .field("heartbeat", heartbeat)
            .finish()
    }
}

/// Bus settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is of no known form. It is not shown: it may hold a password.
    #[error(
        "bus.url cannot be used: {why}; it must be like amqp://user:password@host:5672/%2f, \
         amqps://user:password@host:5671/%2f or memory://"
    )]
    Url {
        /// Which rule it breaks.
        why: String,
    },
    /// The authority's certificate cannot be read.
    #[error("bus.ca_file {path} cannot be read")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file has no certificate.
    #[error("bus.ca_file {path} holds no certificate in PEM")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// `amqps` without an authority.
    #[error("bus.ca_file is missing: bus.url is amqps://, so it must name the authority to trust")]
    NoCaFile,
    /// An authority without `amqps`.
    #[error("bus.ca_file is set, but bus.url is not amqps://, so nothing would be checked")]
    CaFileUnused,
}

/// A bus over the carrier of the URL. The connection is made, and made again, in the background, so a broker
/// that is down is no error here. It lives until [`Transport::close`], or until `tasks` are cancelled and
/// nothing is in hand any more.
pub fn connect(settings: &BusSettings, sender: &str, tasks: &Tasks) -> Result<Bus, ConnectError> {
    Ok(Bus::new(transport(settings, sender, tasks)?, sender))
}

fn transport(
    settings: &BusSettings,
    sender: &str,
    tasks: &Tasks,
) -> Result<Arc<dyn Transport>, ConnectError> {
    let scheme = settings.url.split_once("://").map(|(scheme, _)| scheme);
    if scheme != Some("amqps") && settings.ca_file.is_some() {
        return Err(ConnectError::CaFileUnused);
    }
    match scheme {
        Some("memory") => Ok(Arc::new(MemoryTransport::new(tasks))),
        Some("amqp" | "amqps") => amqp(settings, sender, tasks),
        Some(other) => Err(ConnectError::Url { why: format!("`{other}` is not a carrier") }),
        None => Err(ConnectError::Url { why: "it has no scheme".to_owned() }),
    }
}

#[cfg(feature = "amqp")]
fn amqp(
    settings: &BusSettings,
    sender: &str,
    tasks: &Tasks,
) -> Result<Arc<dyn Transport>, ConnectError> {
    Ok(Arc::new(super::amqp::AmqpTransport::new(settings, sender, tasks)?))
}

#[cfg(not(feature = "amqp"))]
fn amqp(_: &BusSettings, _: &str, _: &Tasks) -> Result<Arc<dyn Transport>, ConnectError> {
    Err(ConnectError::Url { why: "this build has no AMQP carrier".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str, ca_file: Option<&str>) -> String {
        let settings = BusSettings { ca_file: ca_file.map(PathBuf::from), ..BusSettings::at(url) };
        let error = connect(&settings, "test", &Tasks::new()).expect_err("cannot be used");
        crate::chain(&error)
    }

    #[test]
    fn a_refusal_names_the_setting_and_never_the_password() {
        for url in ["http://u:hunter2@x", "u:hunter2@x", "amqp://u:hunter2@x:port", ""] {
            let words = refusal(url, None);
            assert!(words.starts_with("bus.url"), "{words}");
            assert!(!words.contains("hunter2"), "{words}");
        }
        assert!(refusal("amqps://x", None).starts_with("bus.ca_file is missing"));
        assert!(refusal("amqp://x", Some("/ca.pem")).starts_with("bus.ca_file is set"));
        assert!(refusal("amqps://x", Some("/nowhere.pem")).contains("/nowhere.pem"));
    }

    #[test]
    fn debug_never_shows_the_password() {
        let shown = format!("{:?}", BusSettings::at("amqp://u:hunter2@x"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[tokio::test]
    async fn memory_is_a_fresh_broker_each_time() {
        let tasks = Tasks::new();
        let bus = connect(&BusSettings::at("memory://"), "test", &tasks).expect("a bus");
        assert!(bus.transport().is_connected());
    }
}
