//! Grants access to a container's console. The client then connects directly to the host.

use zun_common::api::v1::console::{ConsoleEndpoint, DOCKER_ATTACH};
use zun_common::grant::{Grant, Mode, Target};
use zun_common::rpc::container::LocateConsole;
use zun_common::status::Action;

use super::console::ConsoleTarget;
use super::{Ident, Placed};
use crate::app::{App, AppError, Caller};

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
        if !request.protocols.iter().any(|protocol| protocol == DOCKER_ATTACH) {
            return Err(AppError::NoCommonProtocol(DOCKER_ATTACH));
        }
        let before_start = request.before_start;
        let action = if before_start { Action::Start } else { Action::Attach };
        let Placed { record, host } = self.require_ready(caller, ident, action).await?;
        self.require_ca()?;
        let mode = request.mode;
        let locate = LocateConsole { container: record.id, mode, before_start };
        let console = self.call_agent(caller, &host, &locate).await?;
        let console_target = ConsoleTarget {
            grant: Grant { host, target: Target::Container { id: console.engine, mode } },
            listener: console.listener,
            tty: console.tty,
            stdin: console.stdin,
        };
        let endpoint = self.grant(caller, &request.csr, &console_target)?;
        Ok(ConsoleEndpoint { run: console.run, running: console.running, ..endpoint })
    }
}
