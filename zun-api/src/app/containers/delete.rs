//! Removes containers. The host removes the container, and the row is deleted when the host reports that.

use zun_common::bus::CallError;
use zun_common::id::HostName;
use zun_common::rpc::container::{Removal, RemoveContainer};
use zun_common::rpc::{Code, Done};
use zun_common::status::{Action, Status};

use super::Ident;
use crate::app::{App, AppError, Caller, Permission};
use crate::db::container::{self, Record};

/// What to do if the container to remove is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// Refuse to remove it.
    OnlyStopped,
    /// Stop it first.
    StopFirst,
    /// Kill it. If its host cannot be reached, delete its row anyway. Administrators only.
    Force,
}

impl Deletion {
    const fn action(self) -> Action {
        match self {
            Self::OnlyStopped => Action::Delete,
            Self::StopFirst => Action::DeleteStop,
            Self::Force => Action::DeleteForce,
        }
    }

    const fn removal(self) -> Removal {
        match self {
            Self::OnlyStopped => Removal::OnlyStopped,
            Self::StopFirst => Removal::StopFirst,
            Self::Force => Removal::Force,
        }
    }
}

impl App {
    /// Removes a container.
    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        ident: &Ident,
        how: Deletion,
    ) -> Result<(), AppError> {
        if how == Deletion::Force {
            caller.require(Permission::ForceDelete)?;
        }
        let record = self.find(caller, ident).await?;
        if !record.status.allows(how.action()) {
            let (action, id, status) = (Action::Delete, record.id, record.status);
            return Err(AppError::WrongStatus { action, id, status });
        }
        let Some(host) = record.host.clone() else {
            return self.delete_row(record, "it was never scheduled to a host").await;
        };
        match self.remove_on(caller, &host, &record, how).await {
            Ok(()) => self.mark_deleting(record).await,
            Err(refusal) => self.after_refusal(record, how, refusal).await,
        }
    }

    async fn remove_on(
        &self,
        caller: &Caller,
        host: &HostName,
        record: &Record,
        how: Deletion,
    ) -> Result<(), AppError> {
        self.require_up(host).await?;
        let call = RemoveContainer { container: record.id, how: how.removal() };
        let Done {} = self.call_agent(caller, host, &call).await?;
        Ok(())
    }

    async fn after_refusal(
        &self,
        record: Record,
        how: Deletion,
        refusal: AppError,
    ) -> Result<(), AppError> {
        let never_created = record.engine.is_none() && record.status == Status::Error;
        if is_not_found(&refusal) {
            self.delete_row(record, "its host does not know it").await
        } else if is_unreachable(&refusal) && never_created {
            self.delete_row(record, "it was never created").await
        } else if is_unreachable(&refusal) && how == Deletion::Force {
            // If the host comes back, its agent reports the container as a stray.
            self.delete_row(
                record,
                "forced while its host cannot be reached; the container may still exist there",
            )
            .await
        } else {
            Err(refusal)
        }
    }

    async fn mark_deleting(&self, record: Record) -> Result<(), AppError> {
        let (id, generation) = (record.id, record.generation);
        let marked =
            self.db.promise(move |conn| container::mark_deleting(conn, id, generation)).await?;
        if let Some(marked) = marked {
            self.hub.publish(&marked);
        }
        Ok(())
    }

    async fn delete_row(&self, record: Record, why: &str) -> Result<(), AppError> {
        let id = record.id;
        self.db.promise(move |conn| container::remove(conn, id)).await?;
        tracing::info!(container.id = %id, "deleted the row of container {id}: {why}");
        self.hub.publish(&Record { status: Status::Deleted, task_state: None, ..record });
        Ok(())
    }
}

fn is_not_found(refusal: &AppError) -> bool {
    matches!(
        refusal,
        AppError::Agent { cause: CallError::Refused { problem, .. }, .. }
            if problem.code == Code::NotFound
    )
}

fn is_unreachable(refusal: &AppError) -> bool {
    matches!(
        refusal,
        AppError::HostDown { .. }
            | AppError::Agent {
                cause: CallError::NoSuchHost { .. }
                    | CallError::NoReply { .. }
                    | CallError::Bus { .. },
                ..
            }
    )
}
