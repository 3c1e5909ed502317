//! Answers calls about the sessions at the host's console gate.

use std::collections::HashMap;
use std::time::Duration;

use zun_common::chain;
use zun_common::gate_control::{
    Deleted, GateSessions, GateTarget, IssuedTicket, RecordingTicketRequest, SizeRequest,
    TicketRequest,
};
use zun_common::id::{ContainerId, EngineId, ExecId};
use zun_common::rpc::console::{
    ConsoleSession, ConsoleSessions, ConsoleTicket, DeleteRecording, HostRecordings,
    IssueRecordingTicket, IssueTicket, ListRecordings, ListSessions, RevokeGrant, Revoked,
    UsableTicket,
};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Action;
use zun_common::units::TerminalSize;

use super::Deadline;
use super::container::allowed;
use super::exec::exec_of;
use crate::gate_control::GateControl;
use crate::host::{Host, within};

/// How long the engine may take to inspect an exec.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Asks the gate for a ticket.
pub(super) async fn issue(host: &Host, call: IssueTicket) -> Result<ConsoleTicket, Problem> {
    let IssueTicket { container, exec, mode, project, grant, seconds, uses, files } = call;
    let gate = gate(host)?;
    let action = if exec.is_some() { Action::Execute } else { Action::Attach };
    let deadline = Deadline::of::<IssueTicket>();
    let seen = allowed(host, (container, action), &deadline).await?;
    let files = files.then(|| seen.engine.clone());
    let (target, tty) = match exec {
        Some(exec) => {
            let found = exec_of(host, (&seen, &exec), &deadline).await?;
            (GateTarget::Exec(exec), found.tty)
        }
        None => (GateTarget::Container(seen.engine), seen.tty),
    };
    let request = TicketRequest { target, mode, project, grant, seconds, uses, files };
    let issued = gate.issue(&request).await.map_err(|error| error.problem())?;
    Ok(ConsoleTicket { ticket: issued.ticket, address: issued.address, tty })
}

/// Lists the gate's sessions and tickets of these containers.
pub(super) async fn list(host: &Host, call: ListSessions) -> Result<ConsoleSessions, Problem> {
    // Without a gate there are none.
    let Some(gate) = &host.gate else { return Ok(ConsoleSessions::default()) };
    let GateSessions { attachments, tickets, mut recordings } =
        gate.sessions().await.map_err(|error| error.problem())?;
    let mut owners =
        Owners { host, wanted: host.reports.by_engine(&call.containers), execs: HashMap::new() };
    recordings.retain(|ticket| call.containers.contains(&ticket.container));
    let mut listed = ConsoleSessions { recordings, ..ConsoleSessions::default() };
    for attachment in attachments {
        if let Some((container, exec)) = owners.owner(&attachment.target).await {
            listed.sessions.push(ConsoleSession { container, exec, attachment });
        }
    }
    for ticket in tickets {
        if let Some((container, exec)) = owners.owner(&ticket.target).await {
            listed.tickets.push(UsableTicket { container, exec, ticket });
        }
    }
    Ok(listed)
}

/// Lists the gate's recordings.
pub(super) async fn recordings(
    host: &Host,
    call: ListRecordings,
) -> Result<HostRecordings, Problem> {
    // Without a gate there are none.
    let Some(gate) = &host.gate else { return Ok(HostRecordings::default()) };
    let kept = gate.recordings(&call.selection).await.map_err(|error| error.problem())?;
    let gate = host.console.required().ok().and_then(|listener| listener.gate);
    Ok(HostRecordings { kept, gate })
}

/// Deletes a recording.
pub(super) async fn delete_recording(
    host: &Host,
    call: DeleteRecording,
) -> Result<Deleted, Problem> {
    gate(host)?.delete_recording(call.recording).await.map_err(|error| error.problem())
}

/// Asks the gate for a ticket with which a recording can be read.
pub(super) async fn issue_for_recording(
    host: &Host,
    call: IssueRecordingTicket,
) -> Result<IssuedTicket, Problem> {
    let IssueRecordingTicket { recording, project, grant, seconds } = call;
    let request = RecordingTicketRequest { project, grant, seconds };
    let issued = gate(host)?.issue_for_recording(recording, &request).await;
    issued.map_err(|error| error.problem())
}

/// Revokes a grant or ticket.
pub(super) async fn revoke(host: &Host, call: RevokeGrant) -> Result<Revoked, Problem> {
    let sessions = gate(host)?.revoke(&call.grant).await.map_err(|error| error.problem())?;
    Ok(Revoked { sessions })
}

/// Finds the containers that sessions belong to.
struct Owners<'a> {
    host: &'a Host,
    /// The requested containers, by the engine's IDs.
    wanted: HashMap<EngineId, ContainerId>,
    /// The engine's IDs of the containers of execs that were looked up.
    execs: HashMap<ExecId, Option<EngineId>>,
}

impl Owners<'_> {
    async fn owner(&mut self, target: &GateTarget) -> Option<(ContainerId, Option<ExecId>)> {
        let (engine, exec) = match target {
            GateTarget::Container(engine) => (engine.clone(), None),
            GateTarget::Exec(exec) => (self.container_of(exec).await?, Some(exec.clone())),
        };
        Some((*self.wanted.get(&engine)?, exec))
    }

    async fn container_of(&mut self, exec: &ExecId) -> Option<EngineId> {
        if let Some(known) = self.execs.get(exec) {
            return known.clone();
        }
        let inspecting = self.host.driver.exec_inspect(exec);
        let found = within(INSPECT_TIMEOUT, "inspect the exec", inspecting).await.ok();
        let engine = found.map(|found| found.engine);
        self.execs.insert(exec.clone(), engine.clone());
        engine
    }
}

/// Sets the size of a terminal whose session the gate has. Returns whether it has it: the gate knows whether the process
/// is ready for a size, and asks again if it is not.
pub(super) async fn resize(host: &Host, target: GateTarget, size: TerminalSize) -> bool {
    let Some(gate) = &host.gate else { return false };
    let request = SizeRequest { target, size: size.into() };
    match gate.resize(&request).await {
        Ok(resized) => resized,
        Err(error) => {
            tracing::debug!(error = %chain(&error), "the console gate did not set the size of a terminal");
            false
        }
    }
}

/// The control socket of the host's gate.
fn gate(host: &Host) -> Result<&GateControl, Problem> {
    host.gate.as_ref().ok_or_else(|| {
        let words = "it has no console gate with a control socket: run zun-console there, and set \
                     `console.gate_control` in zun-compute's settings";
        Problem::new(Code::NotOffered, words)
    })
}
