//! The gate's settings: a TOML file, with overrides from `ZUN_CONSOLE__…` environment variables.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use zun_common::id::HostName;
use zun_common::settings::{SettingsError, Sources};
use zun_common::telemetry::LogSettings;

use crate::hub::HubLimits;
use crate::recording::RecordingSettings;
use crate::ring::Memory;
use crate::session::{Limits, MOST_ATTACHMENTS, SpillLimits};
use crate::stats::Stats;

/// The prefix of variables that override keys, such as `ZUN_CONSOLE__LISTEN`.
pub const PREFIX: &str = "ZUN_CONSOLE";

/// All settings of the gate.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The address on which the gate listens. Port 0 selects a free port.
    pub listen: SocketAddr,
    /// The host's name in the cluster; by default the machine's name. Grants must name it.
    pub host: Option<HostName>,
    /// The agent's datagram socket for session events; without it the agent does not count `attached`.
    pub notify_socket: Option<PathBuf>,
    /// The directory of recordings, and of unlinked files with output that does not fit into memory. Without it there are
    /// none.
    pub state_directory: Option<PathBuf>,
    /// The unix socket at which the agent requests tickets, lists sessions and ends them. Without it, the gate does none
    /// of this.
    pub control_socket: Option<PathBuf>,
    /// The server name for clients with tickets; without it there are none.
    pub public: Option<PublicSettings>,
    /// The Docker engine.
    pub docker: DockerSettings,
    /// The TLS files.
    pub tls: TlsSettings,
    /// How much the gate serves.
    pub limits: LimitSettings,
    /// How much it records.
    pub recordings: RecordingSettings,
    /// What to log, and in which format.
    pub log: LogSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 2377)),
            host: None,
            notify_socket: None,
            state_directory: None,
            control_socket: None,
            public: None,
            docker: DockerSettings::default(),
            tls: TlsSettings::default(),
            limits: LimitSettings::default(),
            recordings: RecordingSettings::default(),
            log: LogSettings::default(),
        }
    }
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

/// The TLS files, reloaded when they change. They are those of Docker's TLS port.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSettings {
    /// The CAs whose grants are accepted, in PEM.
    pub ca: PathBuf,
    /// The host's certificate, in PEM.
    pub certificate: PathBuf,
    /// The certificate's key, in PEM. It may be in the same file as the certificate.
    pub key: PathBuf,
}

impl Default for TlsSettings {
    fn default() -> Self {
        let file = |name: &str| Path::new("/etc/zun/pki").join(name);
        Self { ca: file("ca.pem"), certificate: file("cert.pem"), key: file("key.pem") }
    }
}

/// The server name for clients that have a ticket instead of a certificate, such as browsers and OpenStack's clients.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublicSettings {
    /// The name that these clients dial. For this name, the gate presents the certificate below, and requests none from
    /// clients. Clients with certificates must dial another name, or an address.
    pub name: HostName,
    /// The port that these clients dial, if it is not the gate's own.
    #[serde(default)]
    pub port: Option<NonZeroU16>,
    /// The certificate for this name, with its chain, in PEM. Browsers and OpenStack's clients must trust it.
    pub certificate: PathBuf,
    /// The certificate's key, in PEM. It may be in the same file as the certificate.
    pub key: PathBuf,
    /// Origins of other sites whose pages may open consoles, and show the web console in a frame, such as
    /// `https://horizon.example.org`.
    #[serde(default)]
    pub origins: Vec<String>,
}

/// How much the gate serves.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Maximum number of open connections.
    pub connections: NonZeroUsize,
    /// Maximum number of containers and execs to which the gate is attached.
    pub sessions: NonZeroUsize,
    /// Maximum number of clients of one container or exec, including disconnected ones that can still resume; at most 166.
    pub attachments: NonZeroUsize,
    /// MiB of memory for the output and input of all sessions together. If it is used up, each session still gets the
    /// minimum that it needs to continue.
    pub memory: NonZeroU32,
    /// MiB of output of a process without a terminal that are kept on disk for each of its streams, for slow clients.
    pub spill: u32,
    /// MiB on disk for all streams together.
    pub disk: u32,
    /// Seconds for which a client that lost its connection can resume its session.
    pub resume: NonZeroU32,
    /// Maximum size in MiB of one copy by a client of the web console; 0 to forbid copies.
    pub files: u32,
    /// Maximum number of containers and execs of one project to which the gate is attached; 0 for no limit.
    pub project_sessions: usize,
    /// Maximum number of clients of one project, including disconnected ones that can still resume; 0 for no limit.
    pub project_attachments: usize,
    /// MiB of `memory` for the sessions of one project; 0 for no limit.
    pub project_memory: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let number = |value| NonZeroUsize::new(value).unwrap_or(NonZeroUsize::MIN);
        let small = |value| NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN);
        Self {
            connections: number(1024),
            sessions: number(1024),
            attachments: number(64),
            memory: small(512),
            spill: 64,
            disk: 4096,
            resume: small(15 * 60),
            files: 1024,
            project_sessions: 512,
            project_attachments: 1024,
            project_memory: 256,
        }
    }
}

/// The largest ring of a stream, in bytes.
const RING: usize = 4 << 20;

impl LimitSettings {
    /// The limits of all sessions together, and of those of one project.
    pub const fn of_hub(&self) -> HubLimits {
        const fn limit(setting: usize) -> usize {
            if setting == 0 { usize::MAX } else { setting }
        }
        HubLimits {
            sessions: self.sessions.get(),
            project_sessions: limit(self.project_sessions),
            project_attachments: limit(self.project_attachments),
            project_memory: limit((self.project_memory as usize).saturating_mul(1 << 20)),
        }
    }

    /// The limits of each session, with files on disk in this directory.
    pub fn of_sessions(&self, directory: Option<PathBuf>) -> Limits {
        let bytes = |mebibytes: u32| {
            usize::try_from(mebibytes).unwrap_or(usize::MAX).saturating_mul(1 << 20)
        };
        let space = Memory::of(bytes(self.disk));
        Limits {
            ring: RING,
            memory: Memory::of(bytes(self.memory.get())),
            spill: SpillLimits { directory, stream: bytes(self.spill), space },
            resume: Duration::from_secs(self.resume.get().into()),
            attachments: self.attachments.get().min(MOST_ATTACHMENTS),
            files: u64::from(self.files) << 20,
            stats: Stats::default(),
        }
    }
}

impl Settings {
    /// Reads the file, if one is named, and the environment.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        Sources::new(file, PREFIX).read()
    }

    /// The host's name: the setting, or the machine's name.
    pub fn host_name(&self) -> Result<HostName, NoHostName> {
        if let Some(host) = &self.host {
            return Ok(host.clone());
        }
        HostName::of_machine().map_err(NoHostName)
    }
}

/// `host` is not set, and the machine's name is not a valid host name.
#[derive(Debug, thiserror::Error)]
#[error("`host` is not set, and the machine's name is not a valid host name: set `host`")]
pub struct NoHostName(#[source] Box<dyn std::error::Error + Send + Sync>);
