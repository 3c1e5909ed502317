//! The exact request lines that a grant allows.
//!
//! [`Grant::permits`] parses a raw request only far enough to build the expected line, and compares the two for
//! equality. It never normalises a request or searches in it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Grant, Mode, Target};
use crate::units::TerminalSize;

/// A version of Docker's API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApiVersion {
    /// The number before the dot.
    pub major: u16,
    /// The number after the dot.
    pub minor: u16,
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.major, self.minor)
    }
}

/// The text is not an API version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version of Docker's API: it must be a version such as 1.41")]
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

/// HTTP method of a granted call.
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
    /// The method as written in the request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Head => "HEAD",
            Self::Put => "PUT",
        }
    }
}

/// What a wait call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// The container is not running; returns at once if that is already so.
    NotRunning,
    /// The next end of its process, even if the container has not started yet.
    NextExit,
    /// The engine has removed the container. The response still has the exit code.
    Removed,
}

impl WaitCondition {
    const ALL: [Self; 3] = [Self::NotRunning, Self::NextExit, Self::Removed];

    /// The condition as written in the query.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not-running",
            Self::NextExit => "next-exit",
            Self::Removed => "removed",
        }
    }
}

/// A call that a grant can allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Attach by websocket: one merged stream, for a terminal. Only in read-write grants, because
    /// engines before API 1.42 connect every websocket to stdin.
    AttachWebsocket,
    /// Attach by a hijacked connection, with stdin: separate stdout and stderr, and half-close.
    Attach,
    /// Attach by a hijacked connection, output only.
    AttachOutput,
    /// Set the size of the container's terminal.
    Resize(TerminalSize),
    /// Wait for the container's exit code.
    Wait(WaitCondition),
    /// Start the exec by a hijacked connection.
    ExecStart,
    /// Set the size of the exec's terminal.
    ExecResize(TerminalSize),
    /// Read the exec's state and exit code.
    ExecInspect,
}

/// The part of an attach call's query that turns off the engine's detection of detach keys, with six keys that no keyboard
/// sends in a row. The client detects them itself, so no typed key is delayed.
pub const NO_DETACH_KEYS: &str = "detachKeys=%FF,%FE,%FD,%FC,%FB,%FA";

impl Grant {
    /// Returns the method and the raw request target of a call, or `None` if the grant does not allow it.
    pub fn call(&self, version: ApiVersion, call: Call) -> Option<(Method, String)> {
        let (method, tail) = match &self.target {
            Target::Container { .. } | Target::Exec { .. } if self.gate_only => return None,
            Target::Container { mode, .. } => container_call(*mode, call)?,
            Target::Data { .. } | Target::Recording { .. } => return None,
            Target::Exec { .. } => exec_call(call)?,
        };
        Some((method, format!("{}{tail}", self.prefix(version))))
    }

    /// Whether the method and the raw request target are exactly one of the allowed calls.
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

    /// Returns the start of the raw request target of all allowed calls, up to and including the ID.
    pub fn prefix(&self, version: ApiVersion) -> String {
        match &self.target {
            Target::Container { id, .. } | Target::Data { id, .. } => {
                format!("/v{version}/containers/{id}")
            }
            Target::Exec { id } => format!("/v{version}/exec/{id}"),
            // Docker has no such call.
            Target::Recording { id } => format!("/v{version}/recordings/{id}"),
        }
    }
}

fn container_call(mode: Mode, call: Call) -> Option<(Method, String)> {
    let can_write = mode == Mode::ReadWrite;
    match call {
        Call::AttachWebsocket if can_write => Some((
            Method::Get,
            format!("/attach/ws?logs=0&stream=1&stdin=1&stdout=1&stderr=1&{NO_DETACH_KEYS}"),
        )),
        Call::Attach if can_write => Some((
            Method::Post,
            format!("/attach?logs=0&stream=1&stdin=1&stdout=1&stderr=1&{NO_DETACH_KEYS}"),
        )),
        Call::AttachOutput => {
            Some((Method::Post, "/attach?logs=0&stream=1&stdin=0&stdout=1&stderr=1".to_owned()))
        }
        Call::Resize(size) if can_write => Some((Method::Post, resize_tail(size))),
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

/// Returns every call that could have this tail. A resize takes its size from the tail.
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
    fn each_granted_call_is_permitted_by_its_grant_only() {
        for (grant, count) in [(grant("rw"), 7), (grant("ro"), 4), (exec(), 3)] {
            let granted: Vec<_> =
                all_calls().into_iter().filter_map(|call| grant.call(V, call)).collect();
            assert_eq!(granted.len(), count, "{grant}");
            let gate_only = Grant { gate_only: true, ..grant.clone() };
            for (method, target) in granted {
                assert!(!gate_only.permits(V, method.as_str(), &target), "{target}");
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
    fn manipulated_request_targets_are_refused() {
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
    fn only_a_canonical_version_parses() {
        assert_eq!("1.41".parse(), Ok(V));
        for bad in ["1.041", "v1.41", "1", "1.", "1.41 ", "+1.41"] {
            assert!(bad.parse::<ApiVersion>().is_err(), "{bad}");
        }
    }
}
