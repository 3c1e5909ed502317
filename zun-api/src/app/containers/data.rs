//! Grants access to a container's output or files. The client then connects directly to the host.

use zun_common::api::v1::console::ConsoleEndpoint;
use zun_common::grant::{DataKind, Grant, Mode, Target};
use zun_common::rpc::container::LocateData;
use zun_common::status::Action;

use super::console::ConsoleTarget;
use super::{Ident, Placed, if_rebuilding};
use crate::app::{App, AppError, Caller};

impl App {
    /// Grants access to a container's output or files.
    pub(crate) async fn data(
        &self,
        caller: &Caller,
        ident: &Ident,
        csr: &str,
        data: DataKind,
    ) -> Result<ConsoleEndpoint, AppError> {
        let action = match data {
            DataKind::Logs => Action::Logs,
            DataKind::Archive(Mode::ReadOnly) => Action::GetArchive,
            DataKind::Archive(Mode::ReadWrite) => Action::PutArchive,
        };
        let Placed { record, host } = self.require_ready(caller, ident, action).await?;
        self.require_ca()?;
        let located =
            self.call_agent(caller, &host, &LocateData { container: record.id, action }).await;
        let located = located.map_err(|error| if_rebuilding(error, &record, action))?;
        let console_target = ConsoleTarget {
            grant: Grant {
                host: host.name,
                target: Target::Data { id: located.engine, data },
                gate_only: false,
            },
            listener: located.listener,
            tty: located.tty,
            stdin: false,
        };
        self.grant(caller, csr, &console_target)
    }
}
