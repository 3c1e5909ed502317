//! Tickets: links that open a console without a certificate.

use std::time::Duration;

use chrono::Utc;
use uuid::Uuid;
use zun_common::api::v1::console::ConsoleTicket;
use zun_common::grant::Mode;
use zun_common::id::ExecId;
use zun_common::pty::{TICKET_PATH, Ticket};
use zun_common::rpc::console::{ConsoleTicket as Issued, IssueTicket};
use zun_common::rpc::operation::Outcome;
use zun_common::status::Action;

use super::{Ident, Placed};
use crate::app::live_host::LiveHost;
use crate::app::{App, AppError, Caller, Permission};
use crate::db::container::Record;
use crate::db::operation::Kind;

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
    /// Whether its clients may copy files in and out.
    pub(crate) files: bool,
}

/// How long clients of OpenStack Zun may take to use their ticket, in seconds.
const OPENSTACK_LIFE: u32 = 60;

impl NewTicket {
    /// A ticket for one session of a client of OpenStack Zun, which uses it at once.
    pub(super) const fn of_openstack(exec: Option<ExecId>) -> Self {
        Self { exec, mode: Mode::ReadWrite, seconds: OPENSTACK_LIFE, uses: 1, files: false }
    }
}

impl App {
    /// Issues a ticket for a console.
    pub(crate) async fn console_ticket(
        &self,
        caller: &Caller,
        ident: &Ident,
        request: NewTicket,
    ) -> Result<ConsoleTicket, AppError> {
        // The route needs the permission to share, which does not contain this one.
        caller.require(Permission::UseContainers)?;
        let action = if request.exec.is_some() { Action::Execute } else { Action::Attach };
        let placed = self.require_ready(caller, ident, action).await?;
        self.issue_ticket(caller, (&placed.record, &placed.host), request).await
    }

    /// Returns the address for a client of OpenStack Zun that attaches to a container.
    pub(crate) async fn attach_address(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<String, AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Attach).await?;
        if !record.spec.console.stdin_open {
            return Err(AppError::NotInteractive);
        }
        let request = NewTicket::of_openstack(None);
        let ticket = self.issue_ticket(caller, (&record, &host), request).await?;
        Ok(address_with(&ticket))
    }

    /// Issues a ticket, and writes an audit log line.
    pub(super) async fn issue_ticket(
        &self,
        caller: &Caller,
        (record, host): (&Record, &LiveHost),
        request: NewTicket,
    ) -> Result<ConsoleTicket, AppError> {
        let NewTicket { exec, mode, seconds, uses, files } = request;
        let id = format!("ticket-{}", Uuid::new_v4());
        let call = IssueTicket {
            container: record.id,
            exec,
            mode,
            project: record.project.clone(),
            grant: id.clone(),
            seconds,
            uses,
            files,
        };
        // The gate counts from a later time.
        let expires_at = Utc::now() + Duration::from_secs(seconds.into());
        let opens_exec = call.exec.is_some();
        let Issued { ticket, address, tty } = self.call_agent(caller, host, &call).await?;
        if !opens_exec {
            self.record_access(caller, record, (Kind::Attach, Outcome::Succeeded));
        }
        self.metrics.grants.inc();
        tracing::info!(
            target: "audit",
            {
                grant.id = %id, container.id = %record.id, host.name = %host.name, mode = mode.as_str(), seconds, uses, files,
                user.id = %caller.identity.user, project.id = %caller.identity.project,
                request.id = %caller.context.request
            },
            "issued {id} for container {}", record.id
        );
        Ok(ConsoleTicket {
            id,
            url: link(&address, &ticket, &record.spec.name),
            websocket_url: format!("wss://{address}{TICKET_PATH}"),
            ticket: ticket.expose().to_owned(),
            mode: mode.as_str().to_owned(),
            uses,
            files,
            tty,
            expires_at,
        })
    }
}

/// The address of the web console, which shows the container's name.
fn link(address: &str, ticket: &Ticket, name: &str) -> String {
    format!("https://{address}/console#ticket={}&name={name}", ticket.expose())
}

/// The address for a client of OpenStack Zun, which gets nothing but a URL.
pub(super) fn address_with(ticket: &ConsoleTicket) -> String {
    format!("{}?token={}", ticket.websocket_url, ticket.ticket)
}
