//! Chooses the transport by the URL of the bus.

use std::sync::Arc;

use super::client::Bus;
use super::memory::MemoryTransport;
use super::settings::{BusSettings, ConnectError};
use super::transport::Transport;
use crate::shutdown::Tasks;

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
    use std::path::PathBuf;

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

    #[tokio::test]
    async fn a_memory_url_connects_at_once() {
        let tasks = Tasks::new();
        let bus = connect(&BusSettings::at("memory://"), "test", &tasks).expect("a bus");
        assert!(bus.transport().is_connected());
    }
}
