//! `docker.exec`: Docker's own exec over mTLS, straight to the host. Starting it is attaching to it; its
//! exit code is read once its output has ended.

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

/// What came of an exec that is begun without its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetachedStart {
    /// It runs.
    Running,
    /// The command cannot be run.
    NotRunnable {
        /// As a shell would exit.
        code: i64,
        /// The host's words.
        message: String,
    },
}

/// Begins an exec and leaves it alone: nobody reads what it prints.
pub async fn start_detached(dial: &Dial) -> Result<DetachedStart, ConsoleError> {
    let start = dial.endpoint.calls.start.as_deref().ok_or(ConsoleError::NoAddress("start"))?;
    let body = serde_json::json!({ "Detach": true, "Tty": dial.endpoint.tty }).to_string();
    let direct = Direct::new(dial)?;
    match direct.post(&Address::parse(start)?, body).await {
        Ok(()) => Ok(DetachedStart::Running),
        // Any other status is about the exec or the grant.
        Err(ConsoleError::Refused { status: 400 | 500, message }) => {
            Ok(DetachedStart::NotRunnable { code: exit_code_of_exec(&message), message })
        }
        Err(error) => Err(error),
    }
}

/// An exec that is not yet dialled.
pub struct DockerExec {
    dial: Dial,
    grants: Grants,
}

impl DockerExec {
    /// Checks the endpoint; dials nothing yet.
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
        let (output, input) = hijack(&dialer, &start, &body, Framing::of(endpoint.tty)).await?;
        let control_calls = ControlCalls::new(grants, dial.tasks.clone());
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
        })
    }
}

/// How long the engine may take to note an exit code once the output has ended.
const EXIT_CODE_TIMEOUT: Duration = Duration::from_secs(5);

/// The same while nobody renews the grant that it is read with.
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
    /// Docker notes the process of every command that it could start, and keeps it behind the end.
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

    /// The engine closes the stream a moment before it notes the exit code. Who renews a grant may be away for
    /// longer: it restarts.
    async fn end(&self) -> Option<ExecState> {
        let begun = Instant::now();
        let (mut pause, mut within) = (Duration::from_millis(5), EXIT_CODE_TIMEOUT);
        loop {
            match self.inspect_exec().await {
                Ok(found) if !found.running => return Some(found),
                Ok(_) => {}
                Err(ConsoleError::Refused { .. } | ConsoleError::Unreachable { .. }) => {
                    return None;
                }
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

/// How long output is held that may be Docker's reason, before Docker is asked. Docker ends the stream behind a reason.
const HOLD_TIME: Duration = Duration::from_millis(50);

/// Returns once the command has begun, or if that cannot be known.
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
        // The connection is dropped next; what goes wrong here changes nothing.
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
