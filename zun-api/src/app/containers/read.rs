//! What a container printed, what runs in it and what that uses, and its terminal's size.

use zun_common::rpc::Done;
use zun_common::rpc::container::{
    LogRequest, Logs, ReadLogs, ReadStats, ResizeTerminal, Stats, Top, TopContainer,
};
use zun_common::status::Action;
use zun_common::units::TerminalSize;

use super::{Ident, Placed};
use crate::app::{App, AppError, Caller};

impl App {
    /// What it printed, the last 4 MiB at most.
    pub(crate) async fn logs(
        &self,
        caller: &Caller,
        ident: &Ident,
        request: LogRequest,
    ) -> Result<Logs, AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Logs).await?;
        self.call_agent(caller, &host, &ReadLogs { container: record.id, request }).await
    }

    /// Its processes.
    pub(crate) async fn top(
        &self,
        caller: &Caller,
        ident: &Ident,
        ps_args: Option<String>,
    ) -> Result<Top, AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Top).await?;
        self.call_agent(caller, &host, &TopContainer { container: record.id, ps_args }).await
    }

    /// Its name, and what it uses.
    pub(crate) async fn stats(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<(String, Stats), AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Stats).await?;
        let stats = self.call_agent(caller, &host, &ReadStats { container: record.id }).await?;
        Ok((record.spec.name, stats))
    }

    /// Sets its terminal's size.
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
