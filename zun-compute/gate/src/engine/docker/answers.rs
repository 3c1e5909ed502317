//! The parts of Docker's answers that the gate reads.

use std::collections::HashMap;

use serde::Deserialize;
use zun_common::id::EngineId;
use zun_common::pty::SessionKind;
use zun_common::recording;

use super::super::{Inspected, Owner};
use crate::session::Process;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ContainerAnswer {
    pub(super) state: State,
    pub(super) config: Config,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the fields are Docker's")]
pub(super) struct State {
    status: String,
    pub(super) running: bool,
    #[serde(default)]
    pub(super) restarting: bool,
    #[serde(rename = "OOMKilled")]
    pub(super) oom_killed: bool,
    pid: i32,
    pub(super) exit_code: i64,
    #[serde(default)]
    error: String,
    #[serde(default)]
    pub(super) started_at: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the fields are Docker's")]
pub(super) struct Config {
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    #[serde(default)]
    labels: Option<HashMap<String, String>>,
}

impl Config {
    /// What the labels say. `None` if the container is not Zun's.
    fn owner(&self) -> Option<Owner> {
        let labels = self.labels.as_ref()?;
        let label = |name: &str| labels.get(name).map(String::as_str);
        Some(Owner {
            project: label("zun.project")?.parse().ok()?,
            container: label("zun.container")?.parse().ok()?,
            name: label("zun.name").unwrap_or_default().to_owned(),
            record: label(recording::LABEL).and_then(|text| text.parse().ok()).unwrap_or_default(),
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ExecAnswer {
    pub(super) running: bool,
    pub(super) exit_code: Option<i64>,
    open_stdin: bool,
    #[serde(rename = "ContainerID", default)]
    container: Option<EngineId>,
    #[serde(default)]
    pub(super) pid: i32,
    process_config: ProcessConfig,
}

#[derive(Debug, Deserialize)]
struct ProcessConfig {
    tty: bool,
}

impl From<ContainerAnswer> for Inspected {
    fn from(answer: ContainerAnswer) -> Self {
        let ContainerAnswer { state, config } = answer;
        let process = Process {
            kind: SessionKind::Container,
            tty: config.tty,
            stdin: config.open_stdin,
            running: state.running,
        };
        let failed = !state.running && state.status == "created" && state.exit_code != 0;
        Self {
            process,
            ended: false,
            // Otherwise Docker treats the end of stdin as a detach, and also ends the output.
            stdin_ends: config.stdin_once,
            pid: (state.running && state.pid > 0).then_some(state.pid),
            failed_start: failed.then_some((state.exit_code, state.error)),
            started_at: Some(state.started_at),
            container: None,
            owner: config.owner(),
        }
    }
}

impl From<ExecAnswer> for Inspected {
    fn from(answer: ExecAnswer) -> Self {
        let process = Process {
            kind: SessionKind::Exec,
            tty: answer.process_config.tty,
            stdin: answer.open_stdin,
            running: answer.running,
        };
        let pid = (answer.running && answer.pid > 0).then_some(answer.pid);
        Self {
            process,
            ended: answer.exit_code.is_some(),
            stdin_ends: true,
            pid,
            failed_start: None,
            started_at: None,
            container: answer.container,
            owner: None,
        }
    }
}
