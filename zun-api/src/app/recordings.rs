//! Recordings of sessions, which the hosts keep.
//!
//! None of this is in the database: recordings outlive their containers, and only the gates know which recordings
//! exist. So zun-api asks all hosts, many at once. Hosts that do not answer in time are named.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;
use zun_common::api::v1::console::ConsoleEndpoint;
use zun_common::api::v1::recording::{Recording, RecordingList, RecordingTicket};
use zun_common::gate_control::{IssuedTicket, RecordingsRequest};
use zun_common::grant::{ApiVersion, Grant, Target};
use zun_common::id::{HostName, ProjectId, RecordingId};
use zun_common::recording::{KeptRecording, RecordingInfo};
use zun_common::rpc::console::{
    DeleteRecording, HostRecordings, IssueRecordingTicket, ListRecordings,
};
use zun_common::rpc::container::ConsoleListener;
use zun_common::rpc::operation::RECORD_PROTOCOL;

use super::ask_hosts::HostAnswers;
use super::containers::ConsoleTarget;
use super::{App, AppError, Caller};
use crate::db::host;

/// How long the link of a recording works, in seconds. The browser follows it at once.
const TICKET_LIFE: u32 = 60;

/// Which recordings to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordingQuery {
    /// Whether to list those of all projects.
    pub(crate) all_projects: bool,
    /// Only those of the container with this UUID, or of containers with this name.
    pub(crate) container: Option<String>,
}

/// A recording, where it is, and the address of its host's gate.
struct Located {
    recording: Recording,
    gate: Option<String>,
}

impl App {
    /// Lists recordings of the project, or of all projects.
    pub(crate) async fn recordings(
        &self,
        caller: &Caller,
        query: &RecordingQuery,
    ) -> Result<RecordingList, AppError> {
        let project = if query.all_projects {
            visible(caller)
        } else {
            Some(caller.identity.project.clone())
        };
        let container = query.container.as_ref().and_then(|text| text.parse().ok());
        let name = query.container.clone().filter(|_| container.is_none());
        let selection = RecordingsRequest { project, container, name, id: None };
        let hosts = self.ask_for_recordings(caller, selection).await?;
        let unresponsive_hosts = hosts.unresponsive_hosts();
        let more = hosts.answers.iter().any(|(_, answer)| answer.kept.more);
        let mut recordings: Vec<_> = hosts
            .answers
            .into_iter()
            .flat_map(|(host, answer)| {
                let kept = answer.kept.recordings.into_iter();
                kept.map(move |kept| shown(kept, host.clone()))
            })
            .collect();
        recordings.sort_by_key(|recording| (recording.started_at, recording.id));
        Ok(RecordingList { recordings, more, unresponsive_hosts })
    }

    /// Shows a recording.
    pub(crate) async fn recording(
        &self,
        caller: &Caller,
        id: RecordingId,
    ) -> Result<Recording, AppError> {
        Ok(self.locate_recording(caller, id).await?.recording)
    }

    /// Grants access to a recording. The client then downloads it from its host.
    pub(crate) async fn download_recording(
        &self,
        caller: &Caller,
        id: RecordingId,
        csr: &str,
    ) -> Result<ConsoleEndpoint, AppError> {
        self.require_ca()?;
        let Located { recording, gate } = self.locate_recording(caller, id).await?;
        let Recording { host, tty, .. } = recording;
        let Some(gate) = gate else {
            let why = "its console gate, which keeps the recording, is not available".to_owned();
            return Err(AppError::ConsoleUnavailable { host, why });
        };
        let listener =
            ConsoleListener { address: String::new(), api_version: NO_DOCKER, gate: Some(gate) };
        let grant = Grant { host, target: Target::Recording { id }, gate_only: false };
        self.grant(caller, csr, &ConsoleTarget { grant, listener, tty, stdin: false })
    }

    /// Issues a ticket: a link that plays a recording once. Writes an audit log line.
    pub(crate) async fn recording_ticket(
        &self,
        caller: &Caller,
        id: RecordingId,
    ) -> Result<RecordingTicket, AppError> {
        let Located { recording, .. } = self.locate_recording(caller, id).await?;
        let invalid = |_invalid| AppError::RecordingNotFound(id.to_string());
        let grant = format!("ticket-{}", Uuid::new_v4());
        let call = IssueRecordingTicket {
            recording: id,
            project: recording.project_id.parse().map_err(invalid)?,
            grant: grant.clone(),
            seconds: TICKET_LIFE,
        };
        // The gate counts from a later time.
        let expires_at = Utc::now() + Duration::from_secs(TICKET_LIFE.into());
        let host = self.live_host(&recording.host).await?;
        let issued = self.call_agent(caller, &host, &call).await?;
        self.metrics.grants.inc();
        tracing::info!(
            target: "audit",
            {
                grant.id = %grant, recording.id = %id, container.id = %recording.container,
                host.name = %recording.host, seconds = TICKET_LIFE,
                user.id = %caller.identity.user, project.id = %caller.identity.project,
                request.id = %caller.context.request
            },
            "issued {grant} for recording {id}"
        );
        Ok(RecordingTicket { id: grant, url: player(&issued, &recording), expires_at })
    }

    /// Deletes a recording that has ended. Writes an audit log line.
    pub(crate) async fn delete_recording(
        &self,
        caller: &Caller,
        id: RecordingId,
    ) -> Result<(), AppError> {
        let Located { recording, .. } = self.locate_recording(caller, id).await?;
        let call = DeleteRecording { recording: id };
        let host = self.live_host(&recording.host).await?;
        self.call_agent(caller, &host, &call).await?;
        tracing::info!(
            target: "audit",
            {
                recording.id = %id, container.id = %recording.container, host.name = %recording.host,
                user.id = %caller.identity.user, project.id = %caller.identity.project,
                request.id = %caller.context.request
            },
            "deleted recording {id}"
        );
        Ok(())
    }

    async fn locate_recording(
        &self,
        caller: &Caller,
        id: RecordingId,
    ) -> Result<Located, AppError> {
        let selection = RecordingsRequest {
            project: visible(caller),
            id: Some(id),
            ..RecordingsRequest::default()
        };
        let mut hosts = self.ask_for_recordings(caller, selection).await?;
        for (host, HostRecordings { kept, gate }) in hosts.answers.drain(..) {
            if let Some(kept) = kept.recordings.into_iter().find(|kept| kept.info.id == id) {
                return Ok(Located { recording: shown(kept, host), gate });
            }
        }
        Err(hosts.not_found(AppError::RecordingNotFound(id.to_string())))
    }

    async fn ask_for_recordings(
        &self,
        caller: &Caller,
        selection: RecordingsRequest,
    ) -> Result<HostAnswers<HostRecordings>, AppError> {
        let hosts = self.db.read(host::all).await?;
        let hosts = hosts.into_iter().filter(|host| host.protocol >= RECORD_PROTOCOL);
        let call = ListRecordings { selection };
        Ok(self.ask_hosts(caller, hosts.map(|host| (host.name, call.clone()))).await)
    }
}

/// The address of the page that plays a recording, and shows the container's name. Names need no escapes.
fn player(IssuedTicket { ticket, address }: &IssuedTicket, recording: &Recording) -> String {
    let Recording { id, container_name, .. } = recording;
    let secret = ticket.expose();
    format!("https://{address}/recording#ticket={secret}&id={id}&name={container_name}")
}

/// The gate has no version of Docker's API.
const NO_DOCKER: ApiVersion = ApiVersion { major: 0, minor: 0 };

/// The project whose recordings the caller may see; all if `None`.
fn visible(caller: &Caller) -> Option<ProjectId> {
    (!caller.is_admin()).then(|| caller.identity.project.clone())
}

fn shown(kept: KeptRecording, host: HostName) -> Recording {
    let KeptRecording { info, size } = kept;
    let RecordingInfo {
        id,
        project,
        container,
        container_name,
        exec,
        tty,
        policy,
        started,
        ended,
        end,
    } = info;
    Recording {
        id,
        project_id: project.to_string(),
        container,
        container_name,
        exec_id: exec.map(|exec| exec.to_string()),
        host,
        tty,
        policy,
        started_at: time(started),
        ended_at: ended.map(time),
        end,
        size,
    }
}

/// A time in milliseconds since the Unix epoch.
fn time(millis: u64) -> DateTime<Utc> {
    let millis = i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis);
    millis.unwrap_or(DateTime::UNIX_EPOCH)
}
