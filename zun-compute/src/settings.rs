//! The agent's settings: a TOML file, overridden by `ZUN_COMPUTE__…` variables.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use zun_common::bus::BusSettings;
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;
use zun_common::rpc::container::ConsoleListener;
use zun_common::settings::{SettingsError, Sources};
use zun_common::telemetry::LogSettings;

use crate::console::Endpoint;
use crate::docker_setup::UNDO_MARKER;

/// Variables that override a key begin so, such as `ZUN_COMPUTE__BUS__URL`.
pub const PREFIX: &str = "ZUN_COMPUTE";

/// Everything that can be set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The host's name in the cluster; the machine's own where none is given.
    pub host: Option<HostName>,
    /// Where the bus is.
    pub bus: BusSettings,
    /// The engine.
    pub docker: DockerSettings,
    /// Signs of life.
    pub heartbeat: HeartbeatSettings,
    /// What the scheduler may choose the host by.
    pub labels: BTreeMap<String, String>,
    /// Where consoles are dialled.
    pub console: ConsoleSettings,
    /// How much is done at once, and for how long.
    pub workers: WorkerSettings,
    /// What is logged and how.
    pub log: LogSettings,
}

/// The engine.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DockerSettings {
    /// Its unix socket.
    pub socket: PathBuf,
}

impl Default for DockerSettings {
    fn default() -> Self {
        Self { socket: PathBuf::from("/var/run/docker.sock") }
    }
}

/// Signs of life.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// Seconds between two.
    #[serde(deserialize_with = "at_least_one")]
    pub interval: u32,
}

impl Default for HeartbeatSettings {
    fn default() -> Self {
        Self { interval: 5 }
    }
}

impl HeartbeatSettings {
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(u64::from(self.interval.max(1)))
    }
}

/// Where consoles are dialled.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// The advertised `host:port` of the engine's TLS listener; no consoles where none is given.
    pub address: Option<ConsoleAddress>,
    /// The version of the engine's API that grants name, such as 1.41; needed with `address`.
    pub api_version: Option<ApiVersion>,
    /// Where `zun-authz` tells of consoles that begin and end; not counted where none is given.
    pub notify_socket: Option<PathBuf>,
    /// The directory of the host's server certificate; none is asked for where none is given.
    pub certificates: Option<PathBuf>,
    /// DNS names and IP addresses in that certificate; the host's name where none are given.
    pub names: Vec<String>,
    /// Seconds between two looks at the listener, from outside, as a client dials it.
    #[serde(deserialize_with = "at_least_one")]
    pub check_interval: u32,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            address: None,
            api_version: None,
            notify_socket: None,
            certificates: None,
            names: Vec::new(),
            check_interval: 60,
        }
    }
}

impl ConsoleSettings {
    /// What the host's certificate is for, beside the host's own name: what is set, and what clients dial.
    pub fn certificate_names(&self) -> Vec<String> {
        let mut names = self.names.clone();
        let dialled = self.address.as_ref().map(|address| address.host().to_owned());
        names.extend(dialled.filter(|name| !self.names.contains(name)));
        names
    }

    /// The endpoint to look at, or the setting that is missing for it.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, &'static str> {
        let address = self.address.as_ref().ok_or("console.address")?;
        let api_version = self.api_version.ok_or("console.api_version")?;
        let certificates = self.certificates.as_ref().ok_or("console.certificates")?;
        Ok(Endpoint {
            listener: ConsoleListener { address: address.0.clone(), api_version },
            ca: certificates.join("ca.pem"),
            interval: Duration::from_secs(u64::from(self.check_interval)),
            undo_marker: UNDO_MARKER.into(),
        })
    }
}

/// An advertised `host:port`; an IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ConsoleAddress(String);

/// A text that is no such address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no console address: it must be like compute1.example:2376 or [2001:db8::1]:2376")]
pub struct InvalidAddress(String);

impl ConsoleAddress {
    /// The name or address, without brackets.
    pub fn host(&self) -> &str {
        let host = self.0.rsplit_once(':').map_or(self.0.as_str(), |(host, _port)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> Option<u16> {
        self.0.rsplit_once(':')?.1.parse().ok()
    }
}

impl fmt::Display for ConsoleAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for ConsoleAddress {
    type Error = InvalidAddress;
    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        let good = text.rsplit_once(':').is_some_and(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let named = !host.is_empty() && !host.contains([':', '/', ' ', '@']);
            (bracketed || named) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
        if good { Ok(Self(text)) } else { Err(InvalidAddress(text)) }
    }
}

/// How much is done at once, and for how long.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// How many commands may wait for one container.
    pub mailbox: usize,
    /// How many commands the host takes at a time.
    pub commands: u16,
    /// How many questions the host takes at a time.
    pub questions: u16,
    /// Seconds that the engine has for one change, beyond a stop's grace.
    pub engine_timeout: u64,
    /// Seconds that an image may take to come.
    pub pull_timeout: u64,
    /// Seconds that accepted work has to end at shutdown. What does not is delivered again.
    pub drain_timeout: u64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            mailbox: 8,
            commands: 256,
            questions: 64,
            engine_timeout: 60,
            pull_timeout: 1800,
            drain_timeout: 30,
        }
    }
}

impl Settings {
    /// Reads the file (which must exist where it is named) and the environment, and checks them.
    pub fn load(file: Option<&Path>) -> Result<Self, LoadError> {
        let settings: Self = Sources::new(file, PREFIX).read()?;
        if settings.console.address.is_some() && settings.console.api_version.is_none() {
            return Err(LoadError::NoApiVersion);
        }
        if settings.workers.mailbox == 0
            || settings.workers.commands == 0
            || settings.workers.questions == 0
        {
            return Err(LoadError::ZeroLimit);
        }
        settings.host_name()?;
        Ok(settings)
    }

    /// The host's name: the set one, or the machine's own in lower case.
    pub fn host_name(&self) -> Result<HostName, LoadError> {
        if let Some(host) = &self.host {
            return Ok(host.clone());
        }
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .map_err(|cause| LoadError::NoHostName { cause: Box::new(cause) })?;
        name.trim()
            .to_lowercase()
            .parse()
            .map_err(|cause| LoadError::NoHostName { cause: Box::new(cause) })
    }
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// They cannot be read, or a key or value is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The machine's name is none of a host.
    #[error("`host` is not set, and the machine's own name cannot be taken")]
    NoHostName {
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A console address without a version.
    #[error(
        "`console.api_version` is missing; it must be like 1.41 where `console.address` is set"
    )]
    NoApiVersion,
    /// Nothing could be taken.
    #[error("`workers.mailbox`, `workers.commands` and `workers.questions` must be at least 1")]
    ZeroLimit,
}

fn at_least_one<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    let seconds = u32::deserialize(input)?;
    if seconds == 0 {
        return Err(serde::de::Error::custom("it must be at least 1 second"));
    }
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn load(text: &str) -> Result<Settings, LoadError> {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(text.as_bytes()).expect("written");
        Settings::load(Some(file.path()))
    }

    fn words(text: &str) -> String {
        zun_common::chain(&load(text).expect_err("bad settings"))
    }

    #[test]
    fn every_key_has_a_default() {
        let settings = load("").expect("settings");
        assert_eq!(settings.heartbeat.interval, 5);
        assert_eq!(settings.docker.socket, Path::new("/var/run/docker.sock"));
        assert!(settings.host_name().is_ok());
    }

    #[test]
    fn a_console_is_told_with_its_address_and_version() {
        let text =
            "[console]\naddress = 'c1.example:2376'\napi_version = '1.41'\ncertificates = '/p'";
        let endpoint = load(text).expect("settings").console.endpoint().expect("an endpoint");
        let ConsoleListener { address, api_version } = endpoint.listener;
        assert_eq!((address.as_str(), api_version.minor), ("c1.example:2376", 41));
        assert_eq!(endpoint.ca, Path::new("/p/ca.pem"));
        let missing =
            |text| load(text).expect("settings").console.endpoint().expect_err("no endpoint");
        assert_eq!(missing(""), "console.address");
        let text = "[console]\naddress = 'c1.example:2376'\napi_version = '1.41'";
        assert_eq!(missing(text), "console.certificates");
    }

    #[test]
    fn bad_values_and_unknown_keys_are_named() {
        assert!(words("hots = 'a'").contains("hots"));
        assert!(words("host = 'A b'").contains("host name"));
        assert!(words("[heartbeat]\ninterval = 0").contains("interval"));
        assert!(words("[console]\naddress = 'c1'\napi_version = '1.41'").contains("c1"));
        assert!(words("[console]\naddress = 'c1:1'").contains("console.api_version"));
        assert!(words("[workers]\nmailbox = 0").contains("workers.mailbox"));
    }
}
