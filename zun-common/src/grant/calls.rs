//! The exact request lines that a grant is good for.
//!
//! [`Grant::permits`] takes a raw request apart only far enough to build the line that it should be,
//! and compares the two for equality: nothing is decoded, normalised or searched.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Grant, Mode, Target};
use crate::units::TerminalSize;

/// The version of Docker's API in the path, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiVersion {
    /// The part before the dot.
    pub major: u16,
    /// The part after it.
    pub minor: u16,
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

/// A text that is no API version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version of Docker's API: it must be like 1.41")]
pub struct InvalidApiVersion(String);

impl FromStr for ApiVersion {
    type Err = InvalidApiVersion;
    fn from_str(text: &str) -> Result<Self, InvalidApiVersion> {
        let parts = || -> Option<Self> {
            let (major, minor) = text.split_once('.')?;
            Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
        };
        match parts() {
            Some(version) if version.to_string() == text => Ok(version),
            Some(_) | None => Err(InvalidApiVersion(text.chars().take(20).collect())),
        }
    }
}

impl TryFrom<String> for ApiVersion {
    type Error = InvalidApiVersion;
    fn try_from(text: String) -> Result<Self, InvalidApiVersion> {
        text.parse()
    }
}

impl From<ApiVersion> for String {
    fn from(version: ApiVersion) -> Self {
        version.to_string()
    }
}

/// The HTTP method of a granted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `POST`
    Post,
    /// `HEAD`
    Head,
    /// `PUT`
    Put,
}

impl Method {
    /// The word in the request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Head => "HEAD",
            Self::Put => "PUT",
        }
    }
}

/// What a `wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// The container does not run (at once, if it does not).
    NotRunning,
    /// The next end of its process, also of a container that has not started.
    NextExit,
    /// It is gone from the engine; the exit code is still told.
    Removed,
}

impl WaitCondition {
    const ALL: [Self; 3] = [Self::NotRunning, Self::NextExit, Self::Removed];

    /// The word in the query.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not-running",
            Self::NextExit => "next-exit",
            Self::Removed => "removed",
        }
    }
}

/// One call that a grant can be good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Attach by websocket: one merged stream, for a terminal. Read-write grants only, since engines
    /// below API 1.42 let every websocket type.
    AttachWebsocket,
    /// Attach by hijack, with stdin: stdout and stderr apart, a real half-close.
    Attach,
    /// Attach by hijack, output only.
    AttachOutput,
    /// Set the size of the container's terminal.
    Resize(TerminalSize),
    /// Wait for the container's end and its exit code.
    Wait(WaitCondition),
    /// Start the exec, by hijack.
    ExecStart,
    /// Set the size of the exec's terminal.
    ExecResize(TerminalSize),
    /// Read the exec's state and exit code.
    ExecInspect,
}

/// Six keys that no keyboard sends in a row: the engine's own detection of detach keys is off, so that
/// the client does it and no typed key is held back.
const NO_DETACH_KEYS: &str = "detachKeys=%FF,%FE,%FD,%FC,%FB,%FA";

impl Grant {
    /// The method and the raw request target of a console's call, or `None` where this grant is not good for it.
    pub fn call(&self, version: ApiVersion, call: Call) -> Option<(Method, String)> {
        let (method, tail) = match &self.target {
            Target::Container { mode, .. } => container_call(*mode, call)?,
            Target::Data { .. } => return None,
            Target::Exec { .. } => exec_call(call)?,
        };
        Some((method, format!("{}{tail}", self.prefix(version))))
    }

    /// Whether this method and this raw request target are exactly one of the granted calls.
    pub fn permits(&self, version: ApiVersion, method: &str, target: &str) -> bool {
        let Some(tail) = target.strip_prefix(&self.prefix(version)) else { return false };
        if let Target::Data { data, .. } = self.target {
            return data.permits(method, tail);
        }
        candidates(tail).into_iter().filter_map(|call| self.call(version, call)).any(
            |(granted_method, granted_target)| {
                granted_method.as_str() == method && granted_target == target
            },
        )
    }

    /// The raw request target of all its calls up to the identifier.
    pub fn prefix(&self, version: ApiVersion) -> String {
        match &self.target {
            Target::Container { id, .. } | Target::Data { id, .. } => {
                format!("/v{version}/containers/{id}")
            }
            Target::Exec { id } => format!("/v{version}/exec/{id}"),
        }
    }
}

fn container_call(mode: Mode, call: Call) -> Option<(Method, String)> {
    let types = mode == Mode::ReadWrite;
    match call {
        Call::AttachWebsocket if types => Some((
            Method::Get,
            format!("/attach/ws?logs=0&stream=1&stdin=1&stdout=1&stderr=1&{NO_DETACH_KEYS}"),
        )),
        Call::Attach if types => Some((
            Method::Post,
            format!("/attach?logs=0&stream=1&stdin=1&stdout=1&stderr=1&{NO_DETACH_KEYS}"),
        )),
        Call::AttachOutput => {
            Some((Method::Post, "/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1".to_owned()))
        }
        Call::Resize(size) if types => Some((Method::Post, resize_tail(size))),
        Call::Wait(condition) => {
            Some((Method::Post, format!("/wait?condition={}", condition.as_str())))
        }
        Call::AttachWebsocket
        | Call::Attach
        | Call::Resize(_)
        | Call::ExecStart
        | Call::ExecResize(_)
        | Call::ExecInspect => None,
    }
}

fn exec_call(call: Call) -> Option<(Method, String)> {
    match call {
        Call::ExecStart => Some((Method::Post, "/start".to_owned())),
        Call::ExecResize(size) => Some((Method::Post, resize_tail(size))),
        Call::ExecInspect => Some((Method::Get, "/json".to_owned())),
        Call::AttachWebsocket
        | Call::Attach
        | Call::AttachOutput
        | Call::Resize(_)
        | Call::Wait(_) => None,
    }
}

fn resize_tail(size: TerminalSize) -> String {
    format!("/resize?h={}&w={}", size.rows, size.columns)
}

/// Every call that the part behind the identifier could be, sizes taken from it.
fn candidates(tail: &str) -> Vec<Call> {
    if let Some(size) = tail.strip_prefix("/resize?").and_then(size) {
        return vec![Call::Resize(size), Call::ExecResize(size)];
    }
    let mut calls = vec![
        Call::AttachWebsocket,
        Call::Attach,
        Call::AttachOutput,
        Call::ExecStart,
        Call::ExecInspect,
    ];
    calls.extend(WaitCondition::ALL.map(Call::Wait));
    calls
}

fn size(query: &str) -> Option<TerminalSize> {
    let (rows, columns) = query.strip_prefix("h=")?.split_once("&w=")?;
    let (rows, columns) = (rows.parse().ok()?, columns.parse().ok()?);
    (rows > 0 && columns > 0).then_some(TerminalSize { rows, columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V: ApiVersion = ApiVersion { major: 1, minor: 41 };

    fn grant(mode: &str) -> Grant {
        format!("zun://h/containers/{}/attach?mode={mode}", "ab".repeat(32))
            .parse()
            .expect("a grant")
    }

    fn exec() -> Grant {
        format!("zun://h/exec/{}", "cd".repeat(32)).parse().expect("a grant")
    }

    const SIZE: TerminalSize = TerminalSize { rows: 24, columns: 80 };

    fn all_calls() -> Vec<Call> {
        let mut calls = vec![
            Call::AttachWebsocket,
            Call::Attach,
            Call::AttachOutput,
            Call::Resize(SIZE),
            Call::ExecStart,
            Call::ExecResize(SIZE),
            Call::ExecInspect,
        ];
        calls.extend(WaitCondition::ALL.map(Call::Wait));
        calls
    }

    const fn other(method: Method) -> &'static str {
        match method {
            Method::Get => "POST",
            Method::Post | Method::Head | Method::Put => "GET",
        }
    }

    #[test]
    fn each_granted_call_is_permitted_and_no_other_grant_takes_it() {
        for (grant, count) in [(grant("rw"), 7), (grant("ro"), 4), (exec(), 3)] {
            let granted: Vec<_> =
                all_calls().into_iter().filter_map(|call| grant.call(V, call)).collect();
            assert_eq!(granted.len(), count, "{grant}");
            for (method, target) in granted {
                assert!(grant.permits(V, method.as_str(), &target), "{target}");
                assert!(!grant.permits(V, other(method), &target), "{target}");
                let elsewhere: Grant = grant
                    .to_string()
                    .replace("ab", "ba")
                    .replace("cd", "dc")
                    .parse()
                    .expect("a grant");
                assert!(!elsewhere.permits(V, method.as_str(), &target), "{target}");
            }
        }
    }

    #[test]
    fn tricks_with_the_target_are_refused() {
        let grant = grant("rw");
        let id = "ab".repeat(32);
        for target in [
            format!("/v1.41/containers/{id}/json"),
            format!("/v1.42/containers/{id}/wait?condition=removed"),
            format!("/containers/{id}/wait?condition=removed"),
            format!("/v1.41/containers/{id}/wait"),
            format!("/v1.41/containers/{id}/wait?condition=removed&x=1"),
            format!("/v1.41/containers/{id}/resize?h=024&w=80"),
            format!("/v1.41/containers/{id}/resize?h=+24&w=80"),
            format!("/v1.41/containers/{id}/resize?h=0&w=80"),
            format!("/v1.41/containers/{id}/resize?h=24&w=80&h=1"),
            format!("/v1.41/containers/{id}/resize?h=24&w=99999"),
            format!("/v1.41//containers/{id}/wait?condition=removed"),
            format!("/v1.41/containers/{}/wait?condition=removed", "cd".repeat(32)),
            format!("/v1.41/containers/create?x=/v1.41/containers/{id}/wait?condition=removed"),
            format!("/v1.41/containers/{id}/../{id}/wait?condition=removed"),
            format!("/v1.41/containers/{id}%2Fwait?condition=removed"),
            format!("http://h/v1.41/containers/{id}/wait?condition=removed"),
        ] {
            assert!(!grant.permits(V, "POST", &target), "{target}");
        }
    }

    #[test]
    fn a_version_reads_back_exactly() {
        assert_eq!("1.41".parse(), Ok(V));
        for bad in ["1.041", "v1.41", "1", "1.", "1.41 ", "+1.41"] {
            assert!(bad.parse::<ApiVersion>().is_err(), "{bad}");
        }
    }
}
