//! The in-memory engine's records of containers and execs.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use tokio::sync::{mpsc, watch};
use zun_common::id::{ContainerId, EngineId};
use zun_common::rpc::container::{ContainerSpec, LogRequest, Logs};
use zun_common::rpc::exec::ExecSpec;
use zun_common::rpc::report::LiveState;
use zun_common::status::Status;
use zun_common::units::TerminalSize;

use super::output::{Printed, Stream};
use super::shell::ShellContext;
use super::signal::Signal;
use crate::driver::{ContainerInfo, LARGEST_OUTPUT};

/// The handle of a running process.
#[derive(Debug, Clone)]
pub(super) struct Process {
    /// Distinguishes this run from others of the same container.
    pub(super) run: u64,
    pub(super) control: mpsc::UnboundedSender<Control>,
    pub(super) paused: watch::Sender<bool>,
    /// The exit code, after the process has exited.
    pub(super) ended: watch::Sender<Option<i64>>,
}

impl Process {
    /// Waits until the process has exited, and returns its exit code.
    pub(super) async fn exit_code(&self) -> Option<i64> {
        self.ended.subscribe().wait_for(Option::is_some).await.ok().and_then(|code| *code)
    }
}

/// A control message to a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum Control {
    Signal(Signal),
    Exit(i64),
}

#[derive(Debug)]
pub(super) struct ContainerRecord {
    pub(super) engine: EngineId,
    pub(super) spec: ContainerSpec,
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) exit_code: Option<i64>,
    pub(super) oom_killed: bool,
    pub(super) started_at: Option<DateTime<Utc>>,
    pub(super) raw_started: Option<String>,
    pub(super) finished_at: Option<DateTime<Utc>>,
    pub(super) size: Option<TerminalSize>,
    pub(super) process: Option<Process>,
    /// Whether it was stopped or killed on request, so that the restart policy does not apply.
    pub(super) stopped_by_user: bool,
    pub(super) restarts: u32,
    /// The archives that were put into it, by their directories.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    output: Vec<Printed>,
}

#[derive(Debug)]
pub(super) struct ExecRecord {
    pub(super) container: ContainerId,
    pub(super) engine: EngineId,
    pub(super) spec: ExecSpec,
    pub(super) running: bool,
    pub(super) exit_code: Option<i64>,
    pub(super) size: Option<TerminalSize>,
}

impl ContainerRecord {
    pub(super) fn new(engine: EngineId, spec: ContainerSpec) -> Self {
        Self {
            engine,
            spec,
            status: Status::Created,
            reason: None,
            exit_code: None,
            oom_killed: false,
            started_at: None,
            raw_started: None,
            finished_at: None,
            size: None,
            process: None,
            stopped_by_user: false,
            restarts: 0,
            files: BTreeMap::new(),
            output: Vec::new(),
        }
    }

    pub(super) fn seen(&self, container: ContainerId) -> ContainerInfo {
        ContainerInfo {
            container,
            engine: self.engine.clone(),
            status: self.status,
            reason: self.reason.clone(),
            exit_code: self.exit_code,
            oom_killed: self.oom_killed,
            tty: self.spec.console.tty,
            stdin: self.spec.console.stdin_open,
            started_at: self.started_at,
            raw_started: self.raw_started.clone(),
            finished_at: self.finished_at,
            live: LiveState::default(),
            cluster: self.spec.cluster.clone(),
            rebuild: self.spec.rebuild,
            name: Some(self.spec.name.clone()),
            limits: self.spec.resources,
        }
    }

    /// The command that the engine runs.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = self.spec.entrypoint.clone().unwrap_or_default();
        words.extend(self.spec.command.clone().unwrap_or_default());
        if words.is_empty() { vec!["/bin/sh".to_owned()] } else { words }
    }

    pub(super) fn shell_context(&self) -> ShellContext {
        let short: String = self.engine.as_str().chars().take(12).collect();
        ShellContext {
            environment: self.spec.environment.clone(),
            workdir: self.spec.workdir.clone(),
            hostname: self.spec.hostname.clone().unwrap_or(short),
            user: self.spec.user.clone(),
        }
    }

    /// Whether the engine counts the container as running.
    pub(super) const fn is_active(&self) -> bool {
        matches!(self.status, Status::Running | Status::Paused | Status::Restarting)
    }

    /// Stores output line by line. A terminal has only stdout.
    pub(super) fn print(&mut self, printed: Printed) {
        let Printed { at, stream, bytes } = printed;
        let stream = if self.spec.console.tty { Stream::Stdout } else { stream };
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        self.output.extend(lines.map(|line| Printed { at, stream, bytes: line.to_vec() }));
    }

    pub(super) fn logs(&self, request: &LogRequest) -> Logs {
        let asked = |line: &&Printed| {
            let stream = match line.stream {
                Stream::Stdout => request.stdout,
                Stream::Stderr => request.stderr,
            };
            stream && request.since.is_none_or(|since| line.at >= since)
        };
        let lines: Vec<&Printed> = self.output.iter().filter(asked).collect();
        let tail = request.tail.map_or(usize::MAX, |tail| tail as usize);
        let mut data = Vec::new();
        for line in lines.iter().skip(lines.len().saturating_sub(tail)) {
            if request.timestamps {
                let stamp = line.at.to_rfc3339_opts(SecondsFormat::Nanos, true);
                data.extend_from_slice(format!("{stamp} ").as_bytes());
            }
            data.extend_from_slice(&line.bytes);
        }
        let over = data.len().saturating_sub(LARGEST_OUTPUT);
        data.drain(..over);
        Logs { data, truncated: over > 0 }
    }
}
