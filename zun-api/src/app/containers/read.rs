//! What a container printed, and its terminal's size.

use zun_common::rpc::Done;
use zun_common::rpc::container::{LogRequest, Logs, ReadLogs, ResizeTerminal};
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
        let Placed { record, host } = self.ready(caller, ident, Action::Logs).await?;
        self.ask(caller, &host, &ReadLogs { container: record.id, request }).await
    }

    /// Sets its terminal's size.
    pub(crate) async fn resize(
        &self,
        caller: &Caller,
        ident: &Ident,
        size: TerminalSize,
    ) -> Result<(), AppError> {
        let Placed { record, host } = self.ready(caller, ident, Action::Resize).await?;
        let Done {} =
            self.ask(caller, &host, &ResizeTerminal { container: record.id, size }).await?;
        Ok(())
    }
}
