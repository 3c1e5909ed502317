//! Settings of zun-api. Every key has a default that works, or is named as missing at the start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;
use zun_common::bus::BusSettings;
use zun_common::telemetry::LogSettings;

/// All of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where and how the API listens.
    pub http: HttpSettings,
    /// Who may call it.
    pub auth: AuthSettings,
    /// Where the rows are.
    pub database: DatabaseSettings,
    /// How the agents are reached.
    pub bus: BusSettings,
    /// How hosts are chosen.
    pub scheduler: SchedulerSettings,
    /// How consoles are granted.
    pub console: ConsoleSettings,
    /// What is logged.
    pub log: LogSettings,
}

/// Where and how the API listens.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpSettings {
    /// The address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What links begin with, such as `https://zun.example.org`; from the request's `Host` where absent.
    pub public_endpoint: Option<String>,
    /// Threads that serve requests.
    pub workers: usize,
    /// Requests at a time, beyond which 503 is answered. Waiting ones are counted apart.
    pub requests: usize,
    /// Requests at a time that wait for a status (`wait_for`), beyond which 503 is answered.
    pub waiters: usize,
    /// The largest body, in bytes.
    pub largest_body: usize,
    /// The largest head (request line and headers), in bytes.
    pub largest_head: usize,
    /// Seconds for a client to send its head, and then its body.
    pub client_timeout: u64,
    /// Seconds for open requests to end when the service stops.
    pub drain: u64,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9517)),
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

/// How callers prove who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// By a bearer token whose hash is in `auth.token_file`.
    #[default]
    Token,
    /// Not at all: every caller is an administrator. Only on a loopback listener.
    None,
}

/// Who may call the API.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSettings {
    /// `token` or `none`.
    pub strategy: Strategy,
    /// The file of hashed tokens (0600); must be given with `token`.
    pub token_file: Option<PathBuf>,
}

/// Where the rows are.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSettings {
    /// The SQLite file; made where it is missing.
    pub path: PathBuf,
    /// Connections at a time.
    pub connections: u32,
}

impl Default for DatabaseSettings {
    fn default() -> Self {
        Self { path: PathBuf::from("/var/lib/zun/zun.sqlite"), connections: 4 }
    }
}

/// How hosts are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SchedulerSettings {
    /// How many times a host's processors are given away. A single container never gets more than there are.
    pub cpu_ratio: f64,
    /// How many times a host's memory is given away.
    pub memory_ratio: f64,
}

impl Default for SchedulerSettings {
    /// Zun's (Placement's) defaults.
    fn default() -> Self {
        Self { cpu_ratio: 16.0, memory_ratio: 1.5 }
    }
}

/// How consoles are granted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConsoleSettings {
    /// The certificate authority's directory, made by `zun-api ca init`. Without it there are no consoles.
    pub ca_directory: Option<PathBuf>,
}
