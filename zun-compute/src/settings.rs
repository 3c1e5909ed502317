//! The agent's settings: a TOML file, with overrides from `ZUN_COMPUTE__…` environment variables.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use zun_common::bus::BusSettings;
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;
use zun_common::settings::{SettingsError, Sources};
use zun_common::telemetry::LogSettings;

/// The prefix of variables that override keys, such as `ZUN_COMPUTE__BUS__URL`.
pub const PREFIX: &str = "ZUN_COMPUTE";

/// All settings of the agent.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The host's name in the cluster; by default the machine's name.
    pub host: Option<HostName>,
    /// How to connect to the bus.
    pub bus: BusSettings,
    /// The Docker engine.
    pub docker: DockerSettings,
    /// Heartbeats to zun-api.
    pub heartbeat: HeartbeatSettings,
    /// Labels of the host, shown in the API.
    pub labels: BTreeMap<String, String>,
    /// The availability zone of the host.
    #[serde(deserialize_with = "zone")]
    pub availability_zone: String,
    /// MiB of memory that containers may not claim.
    pub reserved_memory: u64,
    /// The console endpoint.
    pub console: ConsoleSettings,
    /// Limits on concurrent work, and time limits.
    pub workers: WorkerSettings,
    /// The directory of the agent's persistent state, and of its lock. Agents on one machine share it.
    pub state_directory: PathBuf,
    /// Published ports.
    pub ports: PortSettings,
    /// Metrics.
    pub metrics: MetricsSettings,
    /// What to log, and in which format.
    pub log: LogSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: None,
            bus: BusSettings::default(),
            docker: DockerSettings::default(),
            heartbeat: HeartbeatSettings::default(),
            labels: BTreeMap::new(),
            availability_zone: "nova".to_owned(),
            reserved_memory: 0,
            console: ConsoleSettings::default(),
            workers: WorkerSettings::default(),
            state_directory: PathBuf::from("/var/lib/zun-compute"),
            ports: PortSettings::default(),
            metrics: MetricsSettings::default(),
            log: LogSettings::default(),
        }
    }
}

/// Published ports.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortSettings {
    /// The address on which the host publishes ports, if a request names none. Requests may name this address and
    /// loopback addresses, and any address if this is all addresses.
    pub address: IpAddr,
}

impl Default for PortSettings {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into() }
    }
}

/// Metrics.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// Address of a listener that serves the metrics over plain HTTP; without it there is none. Port 0 selects a free
    /// port.
    pub listen: Option<SocketAddr>,
}

/// The Docker engine.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DockerSettings {
    /// Docker's unix socket.
    pub socket: PathBuf,
}

impl Default for DockerSettings {
    fn default() -> Self {
        Self { socket: PathBuf::from("/var/run/docker.sock") }
    }
}

/// Heartbeats to zun-api.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// Seconds between two heartbeats.
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

/// The console endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// The advertised `host:port` of Docker's TLS listener; without it the host offers no consoles.
    pub address: Option<ConsoleAddress>,
    /// The version of Docker's API that grants permit, such as 1.41; required with `address`.
    pub api_version: Option<ApiVersion>,
    /// The advertised `host:port` of the console gate, if this host runs one (`zun-console`). Sessions outlive their
    /// connections there.
    pub gate: Option<ConsoleAddress>,
    /// The control socket of that gate, at which this agent asks for tickets, and lists and ends sessions; without it
    /// the host issues no tickets.
    pub gate_control: Option<PathBuf>,
    /// The socket on which `zun-authz` reports console sessions; without it they are not counted.
    pub notify_socket: Option<PathBuf>,
    /// The directory of the host's server certificate; without it the host requests no
    /// certificate and offers no consoles.
    pub certificates: Option<PathBuf>,
    /// Additional DNS names and IP addresses in the certificate.
    pub names: Vec<String>,
    /// Seconds between two checks of the listener, which dial it as a client does.
    #[serde(deserialize_with = "at_least_one")]
    pub check_interval: u32,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            address: None,
            api_version: None,
            gate: None,
            gate_control: None,
            notify_socket: None,
            certificates: None,
            names: Vec::new(),
            check_interval: 60,
        }
    }
}

impl ConsoleSettings {
    /// The names in the host's certificate besides the host's own name: those in the settings, and the one that clients
    /// dial.
    pub fn certificate_names(&self) -> Vec<String> {
        let mut names = self.names.clone();
        for dialled in [&self.address, &self.gate].into_iter().flatten() {
            let name = dialled.host().to_owned();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

/// An advertised `host:port`. An IPv6 address must be in brackets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ConsoleAddress(String);

/// The text is not a valid address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a console address: write it like compute1.example:2376 or [2001:db8::1]:2376"
)]
pub struct InvalidAddress(String);

impl ConsoleAddress {
    /// The host name or address, without brackets.
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

/// Limits on concurrent work, and time limits.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WorkerSettings {
    /// The maximum number of operations that wait for one container.
    #[serde(alias = "mailbox")]
    pub queue_length: usize,
    /// The maximum number of calls that the host answers at a time.
    #[serde(alias = "questions")]
    pub concurrent_calls: u16,
    /// Seconds that Docker may take for one change, in addition to the grace period of a stop.
    pub engine_timeout: u64,
    /// Seconds that a pull may take.
    pub pull_timeout: u64,
    /// Seconds that operations may take at shutdown. The next agent takes over those that have not ended.
    pub drain_timeout: u64,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            queue_length: 8,
            concurrent_calls: 64,
            engine_timeout: 60,
            pull_timeout: 1800,
            drain_timeout: 30,
        }
    }
}

impl Settings {
    /// Reads and checks the file and the environment. The file must exist if it is given.
    pub fn load(file: Option<&Path>) -> Result<Self, LoadError> {
        let settings: Self = Sources::new(file, PREFIX).read()?;
        if settings.console.address.is_some() && settings.console.api_version.is_none() {
            return Err(LoadError::NoApiVersion);
        }
        if settings.workers.queue_length == 0 || settings.workers.concurrent_calls == 0 {
            return Err(LoadError::ZeroLimit);
        }
        settings.host_name()?;
        Ok(settings)
    }

    /// The host's name: the setting, or the machine's name in lower case.
    pub fn host_name(&self) -> Result<HostName, LoadError> {
        if let Some(host) = &self.host {
            return Ok(host.clone());
        }
        HostName::of_machine().map_err(|cause| LoadError::NoHostName { cause })
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The settings cannot be read, or a key or value is invalid.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// `host` is not set, and the machine's name is not a valid host name.
    #[error("`host` is not set, and the machine's name is not a valid host name: set `host`")]
    NoHostName {
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The console address is set without an API version.
    #[error(
        "`console.address` is set without `console.api_version`: set the version too, such as 1.41"
    )]
    NoApiVersion,
    /// A limit is 0, so the host would accept nothing.
    #[error("`workers.queue_length` and `workers.concurrent_calls` must be at least 1")]
    ZeroLimit,
}

fn at_least_one<'de, D: Deserializer<'de>>(input: D) -> Result<u32, D::Error> {
    let seconds = u32::deserialize(input)?;
    if seconds == 0 {
        return Err(serde::de::Error::custom("must be at least 1 second"));
    }
    Ok(seconds)
}

fn zone<'de, D: Deserializer<'de>>(input: D) -> Result<String, D::Error> {
    let zone = String::deserialize(input)?;
    if (1..=255).contains(&zone.len()) && !zone.chars().any(char::is_control) {
        return Ok(zone);
    }
    Err(serde::de::Error::custom("must be 1 to 255 printable characters"))
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
    fn bad_values_and_unknown_keys_are_named() {
        assert!(words("hots = 'a'").contains("hots"));
        assert!(words("host = 'A b'").contains("host name"));
        assert!(words("[heartbeat]\ninterval = 0").contains("interval"));
        assert!(words("[console]\naddress = 'c1'\napi_version = '1.41'").contains("c1"));
        assert!(words("[console]\naddress = 'c1:1'").contains("console.api_version"));
        assert!(words("availability_zone = ''").contains("1 to 255 printable characters"));
        assert!(words("[workers]\nqueue_length = 0").contains("workers.queue_length"));
    }
}
