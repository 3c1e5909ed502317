//! Grants: what a short-lived client certificate is good for, said in one SAN URI that it carries.
//!
//! zun-api signs it, the client dials with it, `zun-authz` on the host decides by it, and nothing else
//! has to be told to the host. All three build the same request lines from [`Grant::call`].

mod calls;
mod data;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use calls::{ApiVersion, Call, Method, WaitCondition};
pub use data::{ArchiveCall, DataKind, LogTime, LogsQuery};

use crate::id::{EngineId, ExecId, HostName};

/// Whether a console may type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// Read and type.
    #[default]
    #[serde(rename = "rw")]
    ReadWrite,
    /// Read only.
    #[serde(rename = "ro")]
    ReadOnly,
}

impl Mode {
    /// The word in a grant's URI.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadWrite => "rw",
            Self::ReadOnly => "ro",
        }
    }
}

/// The one thing that a grant is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A container's console.
    Container {
        /// The engine's identifier of the container.
        id: EngineId,
        /// Whether it may type.
        mode: Mode,
    },
    /// A container's output or files.
    Data {
        /// The engine's identifier of the container.
        id: EngineId,
        /// Which of the two.
        data: DataKind,
    },
    /// One exec.
    Exec {
        /// The engine's identifier of the exec.
        id: ExecId,
    },
}

/// A right to one thing on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The host that it is good on.
    pub host: HostName,
    /// What it is good for.
    pub target: Target,
}

/// What `zun-authz` tells the agent, as one JSON datagram: a granted console, or the wait of one, began or ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEvent {
    /// Which of them.
    pub kind: SessionEventKind,
    /// The console is for output alone. An engine notices that such a one has gone only when it next has something
    /// for it, but at once that its wait has.
    #[serde(default)]
    pub watches: bool,
    /// The grant's id: the certificate's common name.
    pub grant: String,
    /// The engine's identifier of the container.
    pub container: EngineId,
}

/// What began or ended. An agent that is older passes over what it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEventKind {
    /// The attach was allowed.
    Begin,
    /// Its stream ended.
    End,
    /// A wait for the container's end was allowed; each console has one open.
    WaitBegin,
    /// It was answered, or whoever waited has gone.
    WaitEnd,
}

/// A URI that is no grant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a grant URI: it must be zun://HOST/containers/ID/attach?mode=rw|ro, …/logs, …/archive?mode=rw|ro or zun://HOST/exec/ID"
)]
pub struct InvalidGrant;

/// The identifier of a container that no engine has made.
const NO_CONTAINER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

impl Grant {
    /// What a host proves its own listener with: to read the output of a container that is not there.
    pub fn probe(host: HostName) -> Self {
        let id = NO_CONTAINER.parse().expect("64 hexadecimal digits");
        Self { host, target: Target::Container { id, mode: Mode::ReadOnly } }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match &self.target {
            Target::Container { id, mode } => {
                write!(out, "zun://{host}/containers/{id}/attach?mode={}", mode.as_str())
            }
            Target::Data { id, data } => {
                write!(out, "zun://{host}/containers/{id}/{}", data.uri_suffix())
            }
            Target::Exec { id } => write!(out, "zun://{host}/exec/{id}"),
        }
    }
}

impl FromStr for Grant {
    type Err = InvalidGrant;

    /// Strict: only what `Display` writes reads back.
    fn from_str(uri: &str) -> Result<Self, InvalidGrant> {
        let grant = parse(uri).ok_or(InvalidGrant)?;
        if grant.to_string() == uri { Ok(grant) } else { Err(InvalidGrant) }
    }
}

fn parse(uri: &str) -> Option<Grant> {
    let (host, path) = uri.strip_prefix("zun://")?.split_once('/')?;
    let host = host.parse().ok()?;
    let target = if let Some(rest) = path.strip_prefix("containers/") {
        let (id, right) = rest.split_once('/')?;
        let id = id.parse().ok()?;
        match right {
            "attach?mode=rw" => Target::Container { id, mode: Mode::ReadWrite },
            "attach?mode=ro" => Target::Container { id, mode: Mode::ReadOnly },
            other => Target::Data { id, data: DataKind::parse(other)? },
        }
    } else {
        Target::Exec { id: path.strip_prefix("exec/")?.parse().ok()? }
    };
    Some(Grant { host, target })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grants() -> impl Strategy<Value = Grant> {
        ("[a-z0-9]{1,12}", "[0-9a-f]{64}", 0..6).prop_map(|(host, id, kind)| Grant {
            host: host.parse().expect("a host name"),
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
                _ => Target::Exec { id: id.parse().expect("an id") },
            },
        })
    }

    proptest! {
        #[test]
        fn a_grant_reads_back_from_its_uri(grant in grants()) {
            prop_assert_eq!(grant.to_string().parse::<Grant>(), Ok(grant));
        }

        #[test]
        fn only_what_is_written_reads_back(text in "\\PC*") {
            if let Ok(grant) = text.parse::<Grant>() {
                prop_assert_eq!(grant.to_string(), text);
            }
        }
    }

    #[test]
    fn tails_case_and_other_modes_are_no_grants() {
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
