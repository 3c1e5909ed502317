//! Answers calls about the sessions at the host's console gate.

use zun_common::gate_control::{GateTarget, TicketRequest};
use zun_common::rpc::console::{ConsoleTicket, IssueTicket};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Action;

use super::container::allowed;
use super::exec::exec_of;
use crate::gate_control::GateControl;
use crate::host::Host;

/// Asks the gate for a ticket.
pub(super) async fn issue(host: &Host, call: IssueTicket) -> Result<ConsoleTicket, Problem> {
    let IssueTicket { container, exec, mode, project, grant, seconds, uses } = call;
    let gate = gate(host)?;
    let action = if exec.is_some() { Action::Execute } else { Action::Attach };
    let seen = allowed(host, container, action).await?;
    let (target, tty) = match exec {
        Some(exec) => {
            let found = exec_of(host, &seen, &exec).await?;
            (GateTarget::Exec(exec), found.tty)
        }
        None => (GateTarget::Container(seen.engine), seen.tty),
    };
    let request = TicketRequest { target, mode, project, grant, seconds, uses };
    let issued = gate.issue(&request).await.map_err(|error| error.problem())?;
    Ok(ConsoleTicket { ticket: issued.ticket, address: issued.address, tty })
}

/// The control socket of the host's gate.
fn gate(host: &Host) -> Result<&GateControl, Problem> {
    host.gate.as_ref().ok_or_else(|| {
        let words = "it has no console gate with a control socket: run zun-console there, and set \
                     `console.gate_control` in zun-compute's settings";
        Problem::new(Code::NotOffered, words)
    })
}
