//! Tickets: links that open a console without a certificate.

use std::time::Duration;

use chrono::Utc;
use uuid::Uuid;
use zun_common::api::v1::console::ConsoleTicket;
use zun_common::grant::Mode;
use zun_common::id::ExecId;
use zun_common::pty::TICKET_PATH;
use zun_common::rpc::console::{ConsoleTicket as Issued, IssueTicket};
use zun_common::status::Action;

use super::{Ident, Placed};
use crate::app::{App, AppError, Caller};

/// A request for a ticket.
#[derive(Debug, Clone)]
pub(crate) struct NewTicket {
    /// The exec; the container's own console if `None`.
    pub(crate) exec: Option<ExecId>,
    pub(crate) mode: Mode,
    /// How long it opens sessions, in seconds.
    pub(crate) seconds: u32,
    /// How many sessions it opens.
    pub(crate) uses: u32,
}

impl App {
    /// Issues a ticket for a console, and writes an audit log line.
    pub(crate) async fn console_ticket(
        &self,
        caller: &Caller,
        ident: &Ident,
        request: NewTicket,
    ) -> Result<ConsoleTicket, AppError> {
        let NewTicket { exec, mode, seconds, uses } = request;
        let action = if exec.is_some() { Action::Execute } else { Action::Attach };
        let Placed { record, host } = self.require_ready(caller, ident, action).await?;
        let id = format!("ticket-{}", Uuid::new_v4());
        let call = IssueTicket {
            container: record.id,
            exec,
            mode,
            project: record.project.clone(),
            grant: id.clone(),
            seconds,
            uses,
        };
        // The gate counts from a later time.
        let expires_at = Utc::now() + Duration::from_secs(seconds.into());
        let Issued { ticket, address, tty } = self.call_agent(caller, &host, &call).await?;
        self.metrics.grants.inc();
        tracing::info!(
            target: "audit",
            {
                grant.id = %id, container.id = %record.id, host.name = %host, mode = mode.as_str(), seconds, uses,
                user.id = %caller.identity.user, project.id = %caller.identity.project,
                request.id = %caller.context.request
            },
            "issued {id} for container {}", record.id
        );
        Ok(ConsoleTicket {
            id,
            url: format!("https://{address}/console#ticket={}", ticket.expose()),
            websocket_url: format!("wss://{address}{TICKET_PATH}"),
            ticket: ticket.expose().to_owned(),
            mode: mode.as_str().to_owned(),
            uses,
            tty,
            expires_at,
        })
    }
}
