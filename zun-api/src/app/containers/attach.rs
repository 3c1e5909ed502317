//! Grants access to a container's console. The client then connects directly to the host.

use std::time::Duration;

use zun_common::api::v1::console::{ConsoleEndpoint, DOCKER_ATTACH, PTY};
use zun_common::grant::{Grant, Mode, Target};
use zun_common::rpc::container::LocateConsole;
use zun_common::rpc::operation::Outcome;
use zun_common::status::{Action, Status};

use super::console::{ConsoleTarget, listener_for, recorded_at};
use super::wait::WaitFor;
use super::{Ident, Placed};
use crate::app::{App, AppError, Caller};
use crate::db::operation::Kind;

/// An attach request.
#[derive(Debug, Clone)]
pub(crate) struct Attach {
    pub(crate) csr: String,
    pub(crate) protocols: Vec<String>,
    pub(crate) mode: Mode,
    /// Whether the client starts the container next.
    pub(crate) before_start: bool,
}

impl App {
    /// Grants access to a container's console.
    pub(crate) async fn attach(
        &self,
        caller: &Caller,
        ident: &Ident,
        request: &Attach,
    ) -> Result<ConsoleEndpoint, AppError> {
        let offers = |wanted: &str| request.protocols.iter().any(|protocol| protocol == wanted);
        if !offers(DOCKER_ATTACH) && !offers(PTY) {
            return Err(AppError::NoCommonProtocol(DOCKER_ATTACH));
        }
        let before_start = request.before_start;
        self.require_ca()?;
        let Placed { record, host } = if before_start {
            self.ready_to_start(caller, ident).await?
        } else {
            self.require_ready(caller, ident, Action::Attach).await?
        };
        let mode = request.mode;
        let locate = LocateConsole { container: record.id, mode, before_start };
        let console = self.call_agent(caller, &host, &locate).await?;
        if !offers(DOCKER_ATTACH) && console.listener.gate.is_none() {
            return Err(AppError::NoCommonProtocol(DOCKER_ATTACH));
        }
        let gate_only = recorded_at(&record, &console.listener, (&host.name, &request.protocols))?;
        let target = Target::Container { id: console.engine, mode };
        let console_target = ConsoleTarget {
            grant: Grant { host: host.name, target, gate_only },
            listener: listener_for(console.listener, &request.protocols, gate_only),
            tty: console.tty,
            stdin: console.stdin,
        };
        let endpoint = self.grant(caller, &request.csr, &console_target)?;
        self.record_access(caller, &record, (Kind::Attach, Outcome::Succeeded));
        Ok(ConsoleEndpoint { run: console.run, running: console.running, ..endpoint })
    }

    /// Finds a container that can be started. If its host is still creating it, waits for that, so that a client can
    /// ask for the console right after it created the container.
    async fn ready_to_start(&self, caller: &Caller, ident: &Ident) -> Result<Placed, AppError> {
        let permit = self.hub.permit()?;
        match self.require_ready(caller, ident, Action::Start).await {
            Err(AppError::WrongStatus { status: Status::Creating, .. }) => {}
            found => return found,
        }
        let created = Status::ALL.iter().copied().filter(|status| *status != Status::Creating);
        let created =
            WaitFor { statuses: created.collect(), timeout: CREATION, unless_updated: None };
        self.wait_with(permit, caller, (ident, &created)).await?;
        self.require_ready(caller, ident, Action::Start).await
    }
}

/// How long to wait for a creation before the answer is that the container is still `Creating`.
const CREATION: Duration = Duration::from_secs(25);
