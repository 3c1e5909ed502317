//! Commands on existing containers. zun-api checks the command, the agent accepts it, and a report carries the
//! result. Only reports change the task state, so that a response never overwrites a newer report.

use zun_common::id::ContainerId;
use zun_common::rpc::container::{
    KillContainer, PauseContainer, RebootContainer, StartContainer, StopContainer, UnpauseContainer,
};
use zun_common::rpc::{Call, Done};
use zun_common::status::Action;

use super::{Ident, Placed};
use crate::app::{App, AppError, Caller};

impl App {
    /// Starts a container.
    pub(crate) async fn start(&self, caller: &Caller, ident: &Ident) -> Result<(), AppError> {
        self.command(caller, ident, Action::Start, |container| StartContainer { container }).await
    }

    /// Stops a container. `grace` is in seconds.
    pub(crate) async fn stop(
        &self,
        caller: &Caller,
        ident: &Ident,
        grace: Option<u32>,
    ) -> Result<(), AppError> {
        self.command(caller, ident, Action::Stop, |container| StopContainer { container, grace })
            .await
    }

    /// Stops a container and starts it again. `grace` is in seconds.
    pub(crate) async fn reboot(
        &self,
        caller: &Caller,
        ident: &Ident,
        grace: Option<u32>,
    ) -> Result<(), AppError> {
        self.command(caller, ident, Action::Reboot, |container| RebootContainer {
            container,
            grace,
        })
        .await
    }

    /// Pauses a container.
    pub(crate) async fn pause(&self, caller: &Caller, ident: &Ident) -> Result<(), AppError> {
        self.command(caller, ident, Action::Pause, |container| PauseContainer { container }).await
    }

    /// Unpauses a container.
    pub(crate) async fn unpause(&self, caller: &Caller, ident: &Ident) -> Result<(), AppError> {
        self.command(caller, ident, Action::Unpause, |container| UnpauseContainer { container })
            .await
    }

    /// Sends a signal to a container.
    pub(crate) async fn kill(
        &self,
        caller: &Caller,
        ident: &Ident,
        signal: String,
    ) -> Result<(), AppError> {
        self.command(caller, ident, Action::Kill, |container| KillContainer { container, signal })
            .await
    }

    async fn command<C: Call<Reply = Done>>(
        &self,
        caller: &Caller,
        ident: &Ident,
        action: Action,
        call: impl FnOnce(ContainerId) -> C,
    ) -> Result<(), AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, action).await?;
        let Done {} = self.call_agent(caller, &host, &call(record.id)).await?;
        tracing::info!(
            container.id = %record.id, host.name = %host, request.id = %caller.context.request,
            "the agent accepted {action} of container {}", record.id
        );
        Ok(())
    }
}
