//! Chooses the transport by the URL of the bus.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::client::Bus;
use super::memory::MemoryTransport;
use super::transport::Transport;
use crate::shutdown::Tasks;

/// Settings of the bus.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// `amqp://user:password@host:5672/%2f`, `amqps://…`, or `memory://` for a new broker in this process.
    pub url: String,
    /// PEM file with the CA that must have signed the broker's certificate. Only with `amqps://`.
    pub ca_file: Option<PathBuf>,
    /// Maximum number of unsettled messages of a queue. zun-api passes it to `Transport::consume`.
    pub prefetch: u16,
    /// Seconds between heartbeats. The connection is lost after two missed ones.
    pub heartbeat: u16,
}

impl BusSettings {
    /// Returns the default settings with this URL.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: url.into(), ca_file: None, prefetch: 64, heartbeat: 10 }
    }
}

impl Default for BusSettings {
    /// RabbitMQ on this machine with its default user.
    fn default() -> Self {
        Self::at("amqp://guest:guest@127.0.0.1:5672/%2f")
    }
}

impl fmt::Debug for BusSettings {
    /// Hides the URL, because it contains the password.
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

/// Why the bus settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is malformed. The message does not show it, because it may contain a password.
    #[error(
        "bus.url is not valid: {why}; use a URL such as amqp://user:password@host:5672/%2f, \
         amqps://user:password@host:5671/%2f or memory://"
    )]
    Url {
        /// The reason.
        why: String,
    },
    /// The CA file cannot be read.
    #[error("cannot read bus.ca_file `{path}`")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The CA file contains no certificate.
    #[error("bus.ca_file `{path}` contains no PEM certificate")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// `amqps` without a CA file.
    #[error(
        "bus.ca_file is missing: with an amqps:// URL it must name the CA that signed the broker's certificate"
    )]
    NoCaFile,
    /// A CA file without `amqps`.
    #[error(
        "bus.ca_file is set, but bus.url is not amqps://, so the broker would not be verified; use amqps:// or remove bus.ca_file"
    )]
    CaFileUnused,
}

/// Creates a bus over the transport for the URL. It connects and reconnects in the background, so an
/// unreachable broker is not an error here. The bus works until [`Transport::close`]. The AMQP transport also closes
/// after `tasks` are cancelled, once nothing is in flight or after a few seconds.
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
        Some(other) => Err(ConnectError::Url { why: format!("unknown scheme `{other}`") }),
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
    Err(ConnectError::Url { why: "this build has no AMQP support".to_owned() })
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
    fn an_error_names_the_setting_and_never_the_password() {
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
    async fn a_memory_url_connects_at_once() {
        let tasks = Tasks::new();
        let bus = connect(&BusSettings::at("memory://"), "test", &tasks).expect("a bus");
        assert!(bus.transport().is_connected());
    }
}
