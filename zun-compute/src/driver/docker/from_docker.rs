//! Converts Docker's answers to the driver's types.

use bollard::models::{
    ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as State,
    ExecInspectResponse, HostConfig,
};
use chrono::{DateTime, Utc};
use zun_common::docker_errors::user_message;
use zun_common::id::{ContainerId, EngineId};
use zun_common::status::Status;
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::super::{ContainerInfo, DriverError, ExecInfo};
use super::{LABEL_CLUSTER, LABEL_CONTAINER, LABEL_NAME, LABEL_REBUILD, live};

/// Converts a container.
pub(super) fn seen(
    container: ContainerId,
    shown: ContainerInspectResponse,
) -> Result<ContainerInfo, DriverError> {
    let engine = engine_id(shown.id.as_deref())?;
    let config = shown.config.unwrap_or_default();
    let label = |name: &str| config.labels.as_ref().and_then(|labels| labels.get(name));
    let state = shown.state.unwrap_or_default();
    let status = status(&state)?;
    // Docker keeps the exit time of the previous run. After a short run, the start time may be after the exit time.
    let finished_at = time(state.finished_at.as_deref()).filter(|_| has_ended(status));
    let started_at = time(state.started_at.as_deref());
    let raw_started = state.started_at.clone().filter(|_| started_at.is_some());
    let reason = state.error.as_deref().filter(|words| !words.is_empty()).map(user_message);
    Ok(ContainerInfo {
        container,
        engine,
        status,
        exit_code: exit_code(status, &state),
        reason,
        oom_killed: state.oom_killed.unwrap_or_default(),
        tty: config.tty.unwrap_or_default(),
        stdin: config.open_stdin.unwrap_or_default(),
        started_at: started_at.map(|started| finished_at.map_or(started, |end| started.min(end))),
        raw_started,
        finished_at,
        live: live::state(status, &state, shown.network_settings.as_ref()),
        cluster: label(LABEL_CLUSTER).and_then(|text| text.parse().ok()),
        rebuild: label(LABEL_REBUILD).and_then(|text| text.parse().ok()),
        name: label(LABEL_NAME).cloned(),
        limits: shown.host_config.as_ref().map(limits).unwrap_or_default(),
    })
}

/// Converts limits. Docker has billionths of a CPU, and bytes.
fn limits(host: &HostConfig) -> Resources {
    let millis = host.nano_cpus.unwrap_or_default() / 1_000_000;
    let bytes = host.memory.unwrap_or_default();
    Resources {
        cpus: Cpus::from_millis(u32::try_from(millis).unwrap_or_default()),
        memory: Mebibytes::from_bytes(u64::try_from(bytes).unwrap_or_default()),
    }
}

/// Whether the label of a container matches its name.
pub(super) fn is_ours(container: ContainerId, shown: &ContainerInspectResponse) -> bool {
    let labels = shown.config.as_ref().and_then(|config| config.labels.as_ref());
    let label = labels.and_then(|labels| labels.get(LABEL_CONTAINER));
    label.and_then(|text| text.parse().ok()) == Some(container)
}

/// Converts an exec.
pub(super) fn exec_seen(shown: &ExecInspectResponse) -> Result<ExecInfo, DriverError> {
    Ok(ExecInfo {
        engine: engine_id(shown.container_id.as_deref())?,
        running: shown.running.unwrap_or_default(),
        never_began: shown.running == Some(false) && shown.pid == Some(0),
        exit_code: shown.exit_code,
        tty: shown.process_config.as_ref().and_then(|config| config.tty).unwrap_or_default(),
        stdin: shown.open_stdin.unwrap_or_default(),
    })
}

/// Parses a full-length ID of Docker.
pub(super) fn engine_id(text: Option<&str>) -> Result<EngineId, DriverError> {
    text.unwrap_or_default().parse().map_err(|error: zun_common::id::InvalidId| {
        DriverError::Engine { doing: "read Docker's answer", words: error.to_string() }
    })
}

fn status(state: &ContainerState) -> Result<Status, DriverError> {
    match state.status {
        Some(State::CREATED) => Ok(Status::Created),
        Some(State::RUNNING | State::STOPPING) => Ok(Status::Running),
        Some(State::PAUSED) => Ok(Status::Paused),
        Some(State::RESTARTING) => Ok(Status::Restarting),
        Some(State::REMOVING) => Ok(Status::Deleting),
        Some(State::EXITED) => Ok(Status::Stopped),
        Some(State::DEAD) => Ok(Status::Dead),
        Some(State::EMPTY) | None => Err(DriverError::Engine {
            doing: "read Docker's answer",
            words: "the container has no state".to_owned(),
        }),
    }
}

/// Converts the state in a list of containers.
pub(super) fn listed_status(state: &str) -> Option<Status> {
    Some(match state {
        "created" => Status::Created,
        "running" | "stopping" => Status::Running,
        "paused" => Status::Paused,
        "restarting" => Status::Restarting,
        "removing" => Status::Deleting,
        "exited" => Status::Stopped,
        "dead" => Status::Dead,
        _ => return None,
    })
}

/// Whether the last run of a container has ended.
const fn has_ended(status: Status) -> bool {
    matches!(status, Status::Stopped | Status::Restarting | Status::Dead | Status::Deleting)
}

/// The exit code. Docker shows 0 for a process that has never run or is still running. A container that could not start
/// is shown as created, with the exit code that a shell would return.
fn exit_code(status: Status, state: &ContainerState) -> Option<i64> {
    let unstarted = status == Status::Created;
    state.exit_code.filter(|code| has_ended(status) || (unstarted && *code != 0))
}

/// Parses a time. Docker's zero time, in the year 1, means that there is none.
fn time(text: Option<&str>) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text?).ok()?.to_utc();
    (time.timestamp() > 0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(state: &str) -> ContainerInfo {
        let id = "ab".repeat(32);
        let text = format!(r#"{{"Id":"{id}","State":{state},"Config":{{"Tty":true}}}}"#);
        let container = ContainerId::random();
        seen(container, serde_json::from_str(&text).expect("docker's json")).expect("a container")
    }

    #[test]
    fn every_state_of_docker_has_a_status() {
        for (state, status) in [
            ("created", Status::Created),
            ("running", Status::Running),
            ("paused", Status::Paused),
            ("restarting", Status::Restarting),
            ("removing", Status::Deleting),
            ("exited", Status::Stopped),
            ("dead", Status::Dead),
        ] {
            assert_eq!(shown(&format!(r#"{{"Status":"{state}"}}"#)).status, status);
            assert_eq!(listed_status(state), Some(status));
        }
    }

    #[test]
    fn labels_and_limits_are_those_of_the_container() {
        let text = format!(
            r#"{{"Id":"{}","State":{{"Status":"running"}},"HostConfig":{{"NanoCpus":1500000000,"Memory":67108864}},
                "Config":{{"Labels":{{"zun.cluster":"one","zun.name":"web"}}}}}}"#,
            "ab".repeat(32)
        );
        let shown = serde_json::from_str(&text).expect("docker's json");
        let seen = seen(ContainerId::random(), shown).expect("a container");
        assert_eq!(seen.cluster, "one".parse().ok());
        assert_eq!(seen.name.as_deref(), Some("web"));
        let limits = Resources { cpus: Cpus::from_millis(1500), memory: Mebibytes(64) };
        assert_eq!(seen.limits, limits);
    }

    #[test]
    fn a_container_that_could_not_start_is_created_with_reason_and_exit_code() {
        let seen = shown(
            r#"{"Status":"created","ExitCode":127,"Error":"no such file",
                "StartedAt":"0001-01-01T00:00:00Z"}"#,
        );
        assert_eq!(seen.status, Status::Created);
        assert_eq!(seen.exit_code, Some(127));
        assert_eq!(seen.reason.as_deref(), Some("no such file"));
        assert_eq!(seen.started_at, None);
    }

    #[test]
    fn start_and_exit_times_belong_to_the_same_run() {
        let at = |state: &str, started: u8, finished: u8| {
            let times = format!(
                r#""StartedAt":"2026-01-02T03:04:0{started}Z","FinishedAt":"2026-01-02T03:04:0{finished}Z""#
            );
            shown(&format!(r#"{{"Status":"{state}",{times}}}"#))
        };
        let again = at("running", 5, 3);
        assert!(again.started_at.is_some() && again.finished_at.is_none());
        let short = at("exited", 5, 4);
        assert!(short.finished_at.is_some() && short.started_at == short.finished_at);
        let long = at("exited", 5, 9);
        assert!(long.started_at < long.finished_at);
    }

    #[test]
    fn only_a_container_that_has_exited_has_an_exit_code() {
        let times = r#""StartedAt":"2026-01-02T03:04:05.123456789Z","ExitCode":0"#;
        let running = shown(&format!(r#"{{"Status":"running",{times}}}"#));
        assert_eq!((running.exit_code, running.reason), (None, None));
        assert!(running.started_at.is_some());
        assert_eq!(shown(&format!(r#"{{"Status":"exited",{times}}}"#)).exit_code, Some(0));
    }
}
