//! Reads a container's output, processes and resource usage, and resizes its terminal.

use zun_common::rpc::Done;
use zun_common::rpc::container::{
    LogRequest, Logs, ReadLogs, ReadStats, ResizeTerminal, Stats, Top, TopContainer,
};
use zun_common::status::Action;
use zun_common::units::TerminalSize;

use super::{Ident, Placed, if_rebuilding};
use crate::app::{App, AppError, Caller};

impl App {
    /// Returns the container's output, at most the last 4 MiB.
    pub(crate) async fn logs(
        &self,
        caller: &Caller,
        ident: &Ident,
        request: LogRequest,
    ) -> Result<Logs, AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Logs).await?;
        let logs =
            self.call_agent(caller, &host, &ReadLogs { container: record.id, request }).await;
        logs.map_err(|error| if_rebuilding(error, &record, Action::Logs))
    }

    /// Returns the processes in the container.
    pub(crate) async fn top(
        &self,
        caller: &Caller,
        ident: &Ident,
        ps_args: Option<String>,
    ) -> Result<Top, AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Top).await?;
        self.call_agent(caller, &host, &TopContainer { container: record.id, ps_args }).await
    }

    /// Returns the container's name and resource usage.
    pub(crate) async fn stats(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<(String, Stats), AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Stats).await?;
        let stats = self.call_agent(caller, &host, &ReadStats { container: record.id }).await?;
        Ok((record.spec.name, stats))
    }

    /// Sets the size of the container's terminal.
    pub(crate) async fn resize(
        &self,
        caller: &Caller,
        ident: &Ident,
        size: TerminalSize,
    ) -> Result<(), AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Resize).await?;
        let Done {} =
            self.call_agent(caller, &host, &ResizeTerminal { container: record.id, size }).await?;
        Ok(())
    }
}
