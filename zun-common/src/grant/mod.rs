//! Grants: short-lived client certificates that each allow access to one resource. A SAN URI in the certificate
//! names the resource.
//!
//! zun-api signs the certificate, the client connects with it, and `zun-authz` on the host checks it. The host
//! does not ask zun-api. zun-api and `zun-authz` build the same request lines with [`Grant::call`].

mod calls;
mod data;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use calls::{ApiVersion, Call, Method, NO_DETACH_KEYS, WaitCondition};
pub use data::{ArchiveCall, DataKind, EXPORT_PATH, LogTime, LogsQuery};

use crate::id::{EngineId, ExecId, HostName, RecordingId};

/// Whether access is read-only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// Read and write.
    #[default]
    #[serde(rename = "rw")]
    ReadWrite,
    /// Read only.
    #[serde(rename = "ro")]
    ReadOnly,
}

impl Mode {
    /// The mode as written in a grant's URI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadWrite => "rw",
            Self::ReadOnly => "ro",
        }
    }
}

/// The resource that a grant gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A container's console.
    Container {
        /// The engine's ID of the container.
        id: EngineId,
        /// Whether the client may type.
        mode: Mode,
    },
    /// A container's output or files.
    Data {
        /// The engine's ID of the container.
        id: EngineId,
        /// Output or files.
        data: DataKind,
    },
    /// An exec.
    Exec {
        /// The engine's ID of the exec.
        id: ExecId,
    },
    /// A recording at the host's console gate.
    Recording {
        /// Its ID.
        id: RecordingId,
    },
}

/// Access to one resource on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The host.
    pub host: HostName,
    /// The resource.
    pub target: Target,
    /// Whether only the host's console gate accepts it, and Docker's listener does not: sessions that are recorded do not
    /// bypass the gate. A grant for data does not have it.
    pub gate_only: bool,
}

/// A JSON datagram that `zun-authz` sends to the agent when a granted console or its wait request begins or
/// ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEvent {
    /// What began or ended.
    pub kind: SessionEventKind,
    /// Whether the console is read-only. If such a client disconnects, the engine notices only when the container next
    /// prints. So the agent counts the client's wait request instead.
    #[serde(default)]
    pub watches: bool,
    /// The grant's ID: the common name of the certificate.
    pub grant: String,
    /// The engine's ID of the container.
    pub container: EngineId,
}

/// What began or ended. An older agent ignores kinds that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEventKind {
    /// An attach was allowed.
    Begin,
    /// The attach stream ended.
    End,
    /// A wait request was allowed. Each console has one open.
    WaitBegin,
    /// The wait request was answered, or the client closed it.
    WaitEnd,
}

/// The URI is not a grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a grant URI: it must be zun://HOST/containers/ID/attach?mode=rw|ro, …/logs, …/archive?mode=rw|ro, zun://HOST/exec/ID or zun://HOST/recordings/ID"
)]
pub struct InvalidGrant;

/// The engine's ID of a container that does not exist.
const NO_CONTAINER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Grant {
    /// Returns the grant that a host uses to check its own listener: read-only access to a container that does
    /// not exist.
    pub fn probe(host: HostName) -> Self {
        let id = NO_CONTAINER.parse().expect("64 hexadecimal digits");
        Self { host, target: Target::Container { id, mode: Mode::ReadOnly }, gate_only: false }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match &self.target {
            Target::Container { id, mode } => {
                let gate = if self.gate_only { "&gate=only" } else { "" };
                write!(out, "zun://{host}/containers/{id}/attach?mode={}{gate}", mode.as_str())
            }
            Target::Data { id, data } => {
                write!(out, "zun://{host}/containers/{id}/{}", data.uri_suffix())
            }
            Target::Exec { id } => {
                let gate = if self.gate_only { "?gate=only" } else { "" };
                write!(out, "zun://{host}/exec/{id}{gate}")
            }
            Target::Recording { id } => write!(out, "zun://{host}/recordings/{id}"),
        }
    }
}

impl FromStr for Grant {
    type Err = InvalidGrant;

    /// Parses strictly: accepts only what `Display` writes.
    fn from_str(uri: &str) -> Result<Self, InvalidGrant> {
        let grant = parse(uri).ok_or(InvalidGrant)?;
        if grant.to_string() == uri { Ok(grant) } else { Err(InvalidGrant) }
    }
}

fn parse(uri: &str) -> Option<Grant> {
    let (host, path) = uri.strip_prefix("zun://")?.split_once('/')?;
    let host = host.parse().ok()?;
    let bare = path.strip_suffix("?gate=only").or_else(|| path.strip_suffix("&gate=only"));
    let gate_only = bare.is_some();
    let path = bare.unwrap_or(path);
    let target = if let Some(rest) = path.strip_prefix("containers/") {
        let (id, suffix) = rest.split_once('/')?;
        let id = id.parse().ok()?;
        match suffix {
            "attach?mode=rw" => Target::Container { id, mode: Mode::ReadWrite },
            "attach?mode=ro" => Target::Container { id, mode: Mode::ReadOnly },
            other => Target::Data { id, data: DataKind::parse(other)? },
        }
    } else if let Some(id) = path.strip_prefix("recordings/") {
        Target::Recording { id: id.parse().ok()? }
    } else {
        Target::Exec { id: path.strip_prefix("exec/")?.parse().ok()? }
    };
    Some(Grant { host, target, gate_only })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grants() -> impl Strategy<Value = Grant> {
        ("[a-z0-9]{1,12}", "[0-9a-f]{64}", 0..8).prop_map(|(host, id, kind)| Grant {
            host: host.parse().expect("a host name"),
            gate_only: matches!(kind, 0 | 6),
            target: match kind {
                0 => Target::Container { id: id.parse().expect("an id"), mode: Mode::ReadWrite },
                1 => Target::Container { id: id.parse().expect("an id"), mode: Mode::ReadOnly },
                2 => Target::Data { id: id.parse().expect("an id"), data: DataKind::Logs },
                3 | 4 => Target::Data {
                    id: id.parse().expect("an id"),
                    data: DataKind::Archive(if kind == 3 {
                        Mode::ReadOnly
                    } else {
                        Mode::ReadWrite
                    }),
                },
                7 => Target::Recording { id: RecordingId::random() },
                _ => Target::Exec { id: id.parse().expect("an id") },
            },
        })
    }

    proptest! {
        #[test]
        fn a_grant_round_trips_through_its_uri(grant in grants()) {
            prop_assert_eq!(grant.to_string().parse::<Grant>(), Ok(grant));
        }

        #[test]
        fn only_canonical_uris_parse(text in "\\PC*") {
            if let Ok(grant) = text.parse::<Grant>() {
                prop_assert_eq!(grant.to_string(), text);
            }
        }
    }

    #[test]
    fn uris_with_extra_parts_other_case_or_unknown_modes_are_refused() {
        let id = "ab".repeat(32);
        for bad in [
            format!("zun://h/containers/{id}/attach?mode=rw&x=1"),
            format!("zun://h/containers/{id}/attach?mode=admin"),
            format!("zun://h/containers/{id}/attach"),
            format!("zun://h/containers/{id}/logs?x=1"),
            format!("zun://h/containers/{id}/logs/"),
            format!("zun://h/containers/{id}/archive"),
            format!("zun://h/containers/{id}/archive?mode=wo"),
            format!("zun://h/containers/{id}/json"),
            format!("zun://h/containers/{id}/attach?mode=rw?gate=only"),
            format!("zun://h/containers/{id}/logs?gate=only"),
            format!("zun://h/exec/{id}&gate=only"),
            format!("zun://h/exec/{id}?gate=only?gate=only"),
            "zun://h/recordings/abc".to_owned(),
            "zun://h/recordings/00000000000000000000000000000001".to_owned(),
            "zun://h/recordings/00000000-0000-0000-0000-000000000001?gate=only".to_owned(),
            format!("zun://H/exec/{id}"),
            format!("zun://h/exec/{id}/"),
            format!("ZUN://h/exec/{id}"),
            "zun://h/exec/abc".to_owned(),
            String::new(),
        ] {
            assert_eq!(bad.parse::<Grant>(), Err(InvalidGrant), "{bad}");
        }
    }
}
