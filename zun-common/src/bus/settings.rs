//! The settings of the bus, and why they cannot be used.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

/// Settings of the bus.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// `amqp://user:password@host:5672/%2f`, `amqps://…`, or `memory://` for a new broker in this process.
    pub url: String,
    /// PEM file with the CA that must have signed the broker's certificate. Only with `amqps://`.
    pub ca_file: Option<PathBuf>,
    /// Maximum number of messages of a queue that are answered at a time. zun-api passes it to `Transport::consume`.
    pub prefetch: u16,
    /// Seconds between heartbeats. The connection is lost after two missed ones.
    pub heartbeat: u16,
    /// The type of the queues in RabbitMQ. All services must have the same.
    pub queues: QueueType,
}

/// Where RabbitMQ keeps a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueType {
    /// On the node where it was declared. While that node is down, nobody can use the queue.
    #[default]
    Classic,
    /// On several nodes of a cluster. It survives the loss of one, and takes a little longer for each message.
    Quorum,
}

impl QueueType {
    /// RabbitMQ's name.
    #[cfg(feature = "amqp")]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}

impl BusSettings {
    /// Returns the default settings with this URL.
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            prefetch: 64,
            heartbeat: 10,
            queues: QueueType::Classic,
        }
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
        let Self { url: _, ca_file, prefetch, heartbeat, queues } = self;
        out.debug_struct("BusSettings")
            .field("url", &"…")
            .field("ca_file", ca_file)
            .field("prefetch", prefetch)
            .field("heartbeat", heartbeat)
            .field("queues", queues)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_the_password() {
        let shown = format!("{:?}", BusSettings::at("amqp://u:hunter2@x"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
