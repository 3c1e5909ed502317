//! Lets a host carry out operations again after the database was restored from an older copy.

use zun_common::id::HostName;

use super::{App, AppError, Caller, Permission};
use crate::db::host;

impl App {
    /// Ends the recovery of a host. It then carries out the operations that are open in the database, and new
    /// operations get numbers that its agent does not know yet. Changes nothing if the host is not recovering.
    pub(crate) async fn recover_host(&self, caller: &Caller, name: &str) -> Result<(), AppError> {
        caller.require(Permission::RecoverHost)?;
        let missing = || AppError::HostNotFound(name.chars().take(80).collect());
        let host: HostName = name.parse().map_err(|_invalid| missing())?;
        let target = host.clone();
        if !self.db.write_durable(move |conn| host::recover(conn, &target)).await? {
            return Err(missing());
        }
        tracing::warn!(
            target: "audit",
            { host.name = %host, request.id = %caller.context.request },
            "host {host} carries out operations again"
        );
        Ok(())
    }
}
