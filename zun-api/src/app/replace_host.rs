//! Lets a host register with another engine, after its machine or Docker's data was replaced.

use zun_common::id::HostName;

use super::{App, AppError, Caller, Permission};
use crate::db::{Conn, container, host, transaction};

impl App {
    /// Clears the engine of a host. The next agent that registers brings another one; the containers of the former
    /// engine are then reported as lost, and those that were deleted as removed.
    pub(crate) async fn replace_host(&self, caller: &Caller, name: &str) -> Result<(), AppError> {
        caller.require(Permission::ReplaceHost)?;
        let missing = || AppError::HostNotFound(name.chars().take(80).collect());
        let host: HostName = name.parse().map_err(|_invalid| missing())?;
        let target = host.clone();
        let replace = move |conn: &mut Conn| {
            let lost = container::lose_runs(conn, &target)?;
            Ok(host::forget_engine(conn, &target)?.then_some(lost))
        };
        let replaced =
            self.db.write_durable(move |conn| transaction(conn, replace.clone())).await?;
        self.hub.announce(replaced.ok_or_else(missing)?);
        tracing::warn!(
            target: "audit",
            { host.name = %host, request.id = %caller.context.request },
            "the next agent of host {host} may register with another engine"
        );
        Ok(())
    }
}
