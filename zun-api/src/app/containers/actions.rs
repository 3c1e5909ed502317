//! The operations on a container, for users.

use super::Ident;
use crate::app::{App, AppError, Caller};
use crate::db::operation::{self, Record};

impl App {
    /// Returns the operations on a container, newest first. A deleted container is found by its ID.
    pub(crate) async fn actions(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<Vec<Record>, AppError> {
        let id = self.find_or_deleted(caller, ident).await?.id;
        Ok(self.db.read(move |conn| operation::of_container(conn, id)).await?)
    }

    /// Returns the operation that a request asked for.
    pub(crate) async fn action(
        &self,
        caller: &Caller,
        (ident, request): (&Ident, &str),
    ) -> Result<Record, AppError> {
        let id = self.find_or_deleted(caller, ident).await?.id;
        let wanted = request.to_owned();
        let found = self.db.read(move |conn| operation::of_request(conn, id, &wanted)).await?;
        found.ok_or_else(|| AppError::ActionNotFound(request.chars().take(80).collect()))
    }

    pub(super) async fn find_or_deleted(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<crate::db::container::Record, AppError> {
        match self.find_also_unreadable(caller, ident).await {
            Err(missing @ AppError::ContainerNotFound(_)) => {
                self.deleted(caller, ident).await?.ok_or(missing)
            }
            found => found,
        }
    }
}
