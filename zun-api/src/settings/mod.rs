//! Settings of zun-api. zun-api does not start if a required key is missing, and the error names the key.

mod database;
mod defaults;
mod keystone;
mod quotas;
mod recording;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};
use zun_common::bus::BusSettings;
use zun_common::telemetry::LogSettings;

pub use crate::auth::Policy;

pub use database::{DatabaseSettings, DatabaseUrl, DatabaseUrlError};
pub use defaults::DefaultLimits;
pub use keystone::KeystoneSettings;
pub use quotas::QuotaSettings;
pub use recording::RecordingSettings;

/// All settings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where and how the API listens.
    pub http: HttpSettings,
    /// Authentication.
    pub auth: AuthSettings,
    /// Changes of the permissions: rules and who has them.
    pub policy: Policy,
    /// The database.
    pub database: DatabaseSettings,
    /// The message bus to the agents.
    pub bus: BusSettings,
    /// The scheduler.
    pub scheduler: SchedulerSettings,
    /// The heartbeats of hosts.
    pub heartbeats: HeartbeatSettings,
    /// Quotas of projects.
    pub quotas: QuotaSettings,
    /// The limits of containers whose request names none.
    pub defaults: DefaultLimits,
    /// Recordings of sessions.
    pub recording: RecordingSettings,
    /// Published ports.
    pub ports: PortSettings,
    /// Events.
    pub events: EventSettings,
    /// Console access.
    pub console: ConsoleSettings,
    /// Secrets in the database.
    pub secrets: SecretSettings,
    /// Metrics.
    pub metrics: MetricsSettings,
    /// Logging.
    pub log: LogSettings,
}

/// Where and how the API listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// Listen address. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// Permits plain HTTP on an address that other machines can reach, such as for a TLS proxy on another machine.
    pub insecure: bool,
    /// The certificate chain of the listener in PEM, the server's own certificate first. Without it, the listener speaks
    /// plain HTTP.
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate in PEM, mode 0600. Required with `certificate`.
    pub key: Option<PathBuf>,
    /// CA certificates in PEM. With them, every client must present a certificate that one of them signed.
    pub client_ca: Option<PathBuf>,
    /// Whether `/ui` serves the dashboard.
    pub ui: bool,
    /// Base of all links, such as `https://zun.example.org`. Default: the scheme of the listener and the request's `Host`
    /// header.
    pub public_endpoint: Option<String>,
    /// Number of threads that serve requests.
    pub workers: usize,
    /// Maximum number of concurrent requests; others get 503. `/healthz`, `/metrics`, event streams and requests that wait
    /// (for a status, a run or a creation) are not counted.
    pub requests: usize,
    /// Maximum number of concurrent requests that wait for a status, a run or a creation; others get 503.
    pub waiters: usize,
    /// Maximum size of a body, in bytes.
    pub largest_body: usize,
    /// Maximum size of the request line and headers together, in bytes.
    pub largest_head: usize,
    /// Seconds for a client to send the headers, and again for the body.
    pub client_timeout: u64,
    /// Seconds for open requests to finish at shutdown.
    pub drain: u64,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9517)),
            insecure: false,
            certificate: None,
            key: None,
            client_ca: None,
            ui: true,
            public_endpoint: None,
            workers: 2,
            requests: 256,
            waiters: 1024,
            largest_body: 1 << 20,
            largest_head: 16 << 10,
            client_timeout: 10,
            drain: 15,
        }
    }
}

impl HttpSettings {
    /// The scheme of the listener's URLs.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }
}

/// How callers authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// By a bearer token. Its hash is in `auth.token_file`.
    #[default]
    Token,
    /// By a token of Keystone.
    Keystone,
    /// No authentication: every caller is an administrator. Requires a loopback listen address.
    None,
}

/// Authentication.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// `token`, `keystone` or `none`.
    pub strategy: Strategy,
    /// File with hashed tokens, mode 0600. Required for `token`.
    pub token_file: Option<PathBuf>,
    /// File of rules in OpenStack's form, in addition to the section `[policy]`.
    pub policy_file: Option<PathBuf>,
    /// Keystone. Required for `keystone`.
    pub keystone: KeystoneSettings,
}

/// The scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerSettings {
    /// Overcommit ratio for CPUs. A single container never gets more CPUs than the host has.
    #[serde(deserialize_with = "ratio")]
    pub cpu_ratio: f64,
    /// Overcommit ratio for memory. A single container never gets more memory than the host has.
    #[serde(deserialize_with = "ratio")]
    pub memory_ratio: f64,
    /// Overcommit ratio for disk, of containers that have a limit for it.
    #[serde(deserialize_with = "ratio")]
    pub disk_ratio: f64,
    /// Maximum number of networks on a host, without those that were created with a subnet. Docker's own address pools are
    /// enough for about 30.
    pub networks: u32,
    /// Which of the hosts that fit is chosen.
    pub strategy: PlacementStrategy,
    /// Preference for hosts that have the image, as a difference in load from 0 to 1. Such a host is chosen although
    /// another one is better by up to this much.
    #[serde(deserialize_with = "share")]
    pub image_preference: f64,
}

/// Which of the hosts that fit is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlacementStrategy {
    /// The least loaded one.
    #[default]
    Spread,
    /// The most loaded one, so that other hosts stay free for large containers.
    Pack,
}

impl Default for SchedulerSettings {
    /// OpenStack Zun's default ratios.
    fn default() -> Self {
        Self {
            cpu_ratio: 16.0,
            memory_ratio: 1.5,
            disk_ratio: 1.0,
            networks: 28,
            strategy: PlacementStrategy::Spread,
            image_preference: 0.1,
        }
    }
}

/// The heartbeats of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HeartbeatSettings {
    /// Maximum number of heartbeats per second, over all hosts. In a cluster with more hosts than this allows at the
    /// interval of their agents' settings, zun-api asks the agents for a longer one.
    pub per_second: NonZeroU32,
}

impl Default for HeartbeatSettings {
    fn default() -> Self {
        Self { per_second: NonZeroU32::new(50).unwrap_or(NonZeroU32::MIN) }
    }
}

/// Published ports.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortSettings {
    /// The ports of hosts from which zun-api chooses, if a request names none.
    #[serde(deserialize_with = "port_range")]
    pub range: RangeInclusive<u16>,
}

impl Default for PortSettings {
    /// Below the ports that Linux gives to outgoing connections.
    fn default() -> Self {
        Self { range: 20_000..=29_999 }
    }
}

/// Reads `FIRST-LAST`.
fn port_range<'de, D: Deserializer<'de>>(input: D) -> Result<RangeInclusive<u16>, D::Error> {
    let text = String::deserialize(input)?;
    let ends = text.split_once('-').and_then(|(first, last)| {
        Some((first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?))
    });
    ends.filter(|(first, last)| *first > 0 && first <= last)
        .map(|(first, last)| first..=last)
        .ok_or_else(|| serde::de::Error::custom("it must be FIRST-LAST, such as 20000-29999"))
}

/// Reads an overcommit ratio. Refuses `nan` and `inf`, which TOML allows. An environment variable gives a decimal as text.
fn ratio<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    decimal(&toml::Value::deserialize(input)?)
        .filter(|ratio: &f64| ratio.is_finite() && *ratio > 0.0)
        .ok_or_else(|| serde::de::Error::custom("it must be a number greater than 0"))
}

/// Reads a share, from 0 to 1.
fn share<'de, D: Deserializer<'de>>(input: D) -> Result<f64, D::Error> {
    decimal(&toml::Value::deserialize(input)?)
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| serde::de::Error::custom("it must be a number from 0 to 1"))
}

/// Converts a number, or its text.
fn decimal(value: &toml::Value) -> Option<f64> {
    match value {
        toml::Value::Float(number) => Some(*number),
        toml::Value::Integer(number) => number.to_string().parse().ok(),
        toml::Value::String(text) => text.parse().ok(),
        toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_)
        | toml::Value::Table(_) => None,
    }
}

/// Events: what has happened to containers, images, volumes and networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventSettings {
    /// Days for which they are kept.
    pub days: u32,
    /// How many are kept, of all projects together.
    pub kept: u32,
    /// Maximum number of streams of events at the same time; others get 503.
    pub streams: usize,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self { days: 7, kept: 100_000, streams: 64 }
    }
}

/// Console access.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// Directory of the CA, created by `zun-api ca init`. Without a CA there is no console access.
    pub ca_directory: Option<PathBuf>,
}

/// Secrets in the database.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretSettings {
    /// File of the keys that encrypt them, mode 0600, created by `zun-api secrets init`. Without it zun-api stores no
    /// passwords of registries.
    pub key_file: Option<PathBuf>,
}

/// Metrics.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// Address of a listener that serves the metrics, and nothing else, over plain HTTP. With it, the API does not serve
    /// them. Port 0 selects a free port.
    pub listen: Option<SocketAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_a_number_greater_than_0() {
        let read = |ratio: &str| {
            toml::from_str::<SchedulerSettings>(&format!("cpu_ratio = {ratio}\nmemory_ratio = 1.0"))
        };
        for half in ["0.5", "\"0.5\""] {
            assert!((read(half).expect("a ratio").cpu_ratio - 0.5).abs() < f64::EPSILON);
        }
        assert!((read("2").expect("a ratio").cpu_ratio - 2.0).abs() < f64::EPSILON);
        for bad in ["nan", "inf", "-inf", "-1.0", "-0.0", "0.0", "\"much\"", "true"] {
            let refusal = read(bad).expect_err(bad).to_string();
            assert!(refusal.contains("greater than 0"), "{refusal}");
        }
    }
}
