//! `docker.exec`: Docker's exec call over mTLS, directly to the host. Starting an exec attaches to it. zun reads the
//! exit code after the output has ended.

mod start_failure;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use zun_common::docker_errors::exit_code_of_exec;
use zun_common::units::TerminalSize;

use super::docker::address::Address;
use super::docker::control_calls::ControlCalls;
use super::docker::direct::Direct;
use super::docker::grants::Grants;
use super::docker::hijack::{Framing, HijackInput, HijackOutput, hijack};
use super::{Connection, Console, ConsoleError, Control, Dial, Event, Events, Input};
use start_failure::StartFailure;

/// The result of starting an exec detached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetachedStart {
    /// The command is running.
    Running,
    /// Docker could not start the command.
    NotRunnable {
        /// The exit code that a shell would use.
        code: i64,
        /// Docker's message.
        message: String,
    },
}

/// Starts an exec detached. Docker discards its output.
pub async fn start_detached(dial: &Dial) -> Result<DetachedStart, ConsoleError> {
    let start = dial.endpoint.calls.start.as_deref().ok_or(ConsoleError::NoAddress("start"))?;
    let body = serde_json::json!({ "Detach": true, "Tty": dial.endpoint.tty }).to_string();
    let direct = Direct::new(dial)?;
    match direct.post(&Address::parse(start)?, body).await {
        Ok(()) => Ok(DetachedStart::Running),
        // Any other status is an error of the exec or the grant, not of the command.
        Err(ConsoleError::Refused { status: 400 | 500, message }) => {
            Ok(DetachedStart::NotRunnable { code: exit_code_of_exec(&message), message })
        }
        Err(error) => Err(error),
    }
}

/// An exec that is not yet connected.
pub struct DockerExec {
    dial: Dial,
    grants: Grants,
}

impl DockerExec {
    /// Checks the endpoint, without connecting.
    pub fn new(dial: Dial) -> Result<Self, ConsoleError> {
        let grants = Grants::new(&dial)?;
        Ok(Self { dial, grants })
    }
}

#[async_trait]
impl Connection for DockerExec {
    async fn open(self: Box<Self>) -> Result<Console, ConsoleError> {
        let Self { dial, grants } = *self;
        let endpoint = &dial.endpoint;
        let need = |call: &Option<String>, what| {
            call.as_deref().map_or(Err(ConsoleError::NoAddress(what)), Address::parse)
        };
        let start = need(&endpoint.calls.start, "start")?;
        let inspect = need(&endpoint.calls.inspect, "inspect")?;
        let resize = endpoint.calls.resize.as_deref().map(Address::parse).transpose()?;
        let body = serde_json::json!({ "Detach": false, "Tty": endpoint.tty }).to_string();
        let dialer = grants.dialer().await?;
        let control_calls = ControlCalls::new(grants, dial.tasks.clone());
        // A short command ends within a round trip, so the connection for its exit code is opened in advance.
        control_calls.connect_ahead(&inspect);
        let (output, input) = hijack(&dialer, &start, &body, Framing::of(endpoint.tty)).await?;
        Ok(Console {
            events: Box::new(ExecEvents {
                output,
                control_calls: control_calls.clone(),
                inspect,
                phase: Phase::Output,
                start_failure: StartFailure::default(),
                ready: VecDeque::new(),
            }),
            input: Box::new(ExecInput { input, tty: endpoint.tty }),
            control: Box::new(ExecControl { control_calls, resize }),
            running: None,
            has_screen: false,
            acts_on_disconnect: false,
        })
    }
}

/// How long Docker may take to record the exit code after the output has ended.
const EXIT_CODE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the exit code may take while zun-api cannot renew the grant.
const EXIT_CODE_TIMEOUT_WITHOUT_RENEWAL: Duration = Duration::from_mins(2);

enum Phase {
    Output,
    Inspect,
    Over,
}

struct ExecEvents {
    output: HijackOutput,
    control_calls: ControlCalls,
    inspect: Address,
    phase: Phase,
    start_failure: StartFailure,
    ready: VecDeque<Event>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExecState {
    running: bool,
    exit_code: Option<i64>,
    pid: Option<i64>,
}

impl ExecState {
    /// Returns `true` if the command has started. Docker keeps the PID of a command after it has exited.
    const fn has_started(&self) -> bool {
        self.running || !matches!(self.pid, Some(0))
    }
}

#[async_trait]
impl Events for ExecEvents {
    async fn next(&mut self) -> Option<Event> {
        while self.ready.is_empty() {
            match self.phase {
                Phase::Output => self.output().await,
                Phase::Inspect => {
                    let end = self.end().await;
                    self.ready.extend(self.start_failure.end(end));
                    self.phase = Phase::Over;
                }
                Phase::Over => return None,
            }
        }
        self.ready.pop_front()
    }
}

impl ExecEvents {
    async fn output(&mut self) {
        let next = if self.start_failure.is_holding() {
            let Self { output, control_calls, inspect, .. } = self;
            tokio::select! {
                biased;
                next = output.next() => Some(next),
                () = has_started(control_calls, inspect) => None,
            }
        } else {
            Some(self.output.next().await)
        };
        match next {
            Some(Some(event)) => {
                if matches!(event, Event::Lost(_)) {
                    self.phase = Phase::Inspect;
                }
                self.ready.extend(self.start_failure.take(event));
            }
            Some(None) => self.phase = Phase::Inspect,
            None => self.ready.extend(self.start_failure.release()),
        }
    }

    async fn inspect_exec(&self) -> Result<ExecState, ConsoleError> {
        inspect_exec(&self.control_calls, &self.inspect).await
    }

    /// Polls until the command has exited. Docker closes the stream shortly before it records the exit code, and zun-api
    /// may be restarting when the grant must be renewed.
    async fn end(&self) -> Option<ExecState> {
        let begun = Instant::now();
        let (mut pause, mut within) = (Duration::from_millis(5), EXIT_CODE_TIMEOUT);
        loop {
            match self.inspect_exec().await {
                Ok(found) if !found.running => return Some(found),
                Ok(_) => {}
                Err(
                    ConsoleError::Refused { .. }
                    | ConsoleError::RefusedByProxy { .. }
                    | ConsoleError::Unreachable { .. },
                ) => return None,
                Err(ConsoleError::NotRenewed(_)) => within = EXIT_CODE_TIMEOUT_WITHOUT_RENEWAL,
                Err(_not_now) => {}
            }
            if begun.elapsed() >= within {
                return None;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}

async fn inspect_exec(
    control_calls: &ControlCalls,
    inspect: &Address,
) -> Result<ExecState, ConsoleError> {
    let body = control_calls.fetch(Method::GET, inspect).await?;
    serde_json::from_slice(&body).map_err(|_not_json| ConsoleError::BadAnswer {
        address: inspect.authority(),
        problem: "it does not describe the command",
    })
}

/// How long to hold back output that may be Docker's reason for a failed start. After such a reason, Docker usually
/// ends the stream sooner. If it does not, zun asks Docker whether the command has started.
const HOLD_TIME: Duration = Duration::from_millis(50);

/// Returns after the command has started, or if Docker cannot be asked. Never returns for a command that did not start.
async fn has_started(control_calls: &ControlCalls, inspect: &Address) {
    tokio::time::sleep(HOLD_TIME).await;
    match inspect_exec(control_calls, inspect).await {
        Ok(found) if !found.has_started() => std::future::pending().await,
        Ok(_) | Err(_) => {}
    }
}

struct ExecInput {
    input: HijackInput,
    tty: bool,
}

#[async_trait]
impl Input for ExecInput {
    async fn write(&mut self, typed: Bytes) -> Result<(), ConsoleError> {
        self.input.write(&typed).await
    }

    async fn eof(&mut self) -> Result<(), ConsoleError> {
        if self.tty { self.input.write(b"\x04").await } else { self.input.shutdown().await }
    }

    async fn detach(&mut self) {
        // The connection is dropped next, so an error does not matter.
        drop(self.input.shutdown().await);
    }
}

struct ExecControl {
    control_calls: ControlCalls,
    resize: Option<Address>,
}

#[async_trait]
impl Control for ExecControl {
    async fn resize(&self, size: TerminalSize) -> Result<(), ConsoleError> {
        let resize = self.resize.as_ref().ok_or(ConsoleError::Unsupported("resizing"))?;
        let address = resize.with(&format!("?h={}&w={}", size.rows, size.columns));
        self.control_calls.fetch(Method::POST, &address).await.map(drop)
    }

    async fn signal(&self, _name: &str) -> Result<(), ConsoleError> {
        Err(ConsoleError::Unsupported("signals"))
    }
}
