//! Removes containers. One transaction writes the tombstone: the container is in no list from then on, and its name is
//! free. Its host removes it, however long that takes, and then its resources are free.

use std::time::Duration;

use tokio::time::Instant;
use zun_common::chain;
use zun_common::id::ContainerId;
use zun_common::rpc::container::Removal;
use zun_common::rpc::operation::{Change, Outcome};
use zun_common::status::{Action, Status};

use super::Ident;
use super::once::{Asked, Once};
use super::wait::{WaitFor, as_deleted};
use crate::app::{App, AppError, Caller};
use crate::db::container::{self, Record, Scope};
use crate::db::operation::{self, Accepted, Ended, Kind, NewOperation, OutcomeKind, RequestKey};
use crate::db::{Conn, DbError, lock, transaction_with_retry};

/// If an agent's answer takes longer than this, the agent has already waited for the end of the removal for as long as
/// it may.
const AGENT_HAS_WAITED: Duration = Duration::from_secs(5);
/// How much longer the answer waits for a container that is stopped first. Docker gives its process 10 seconds, if its
/// creator has not chosen another time.
const STOPPED_WITHIN: Duration = Duration::from_secs(12);

/// What to do if the container to remove is running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deletion {
    /// Refuse to remove it.
    OnlyStopped,
    /// Stop it first.
    StopFirst,
    /// Kill it. Administrators only.
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

/// The result of the transaction.
enum Deleted {
    /// Its host removes it.
    OnHost(Box<(Record, Accepted)>),
    /// It was never scheduled to a host.
    Without(Box<Record>),
    WrongStatus(Status),
    Missing,
}

impl App {
    /// Removes a container, also while its host is down. Returns when the host has removed it, or after a few seconds.
    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        ident: &Ident,
        how: Deletion,
    ) -> Result<(), AppError> {
        let asked = Asked { kind: Kind::Delete, container: &ident.0, arguments: how.removal() };
        let key = caller.request_key(&asked)?;
        let attempt = self.attempt_delete(caller, ident, (how, key.clone()));
        // The removal was accepted, even if the host has not answered.
        match self.once(key, attempt).await? {
            Once::Done(()) | Once::Repeated(_) => Ok(()),
        }
    }

    async fn attempt_delete(
        &self,
        caller: &Caller,
        ident: &Ident,
        (how, key): (Deletion, Option<RequestKey>),
    ) -> Result<(), AppError> {
        let record = self.find_also_unreadable(caller, ident).await?;
        let (id, caller_of_delete) = (record.id, caller.clone());
        let write_tombstone = move |conn: &mut Conn| {
            write_tombstone(conn, (&caller_of_delete, key.as_ref()), (id, how))
        };
        let deleted = self
            .db
            .write_durable(move |conn| transaction_with_retry(conn, write_tombstone))
            .await?;
        tracing::debug!(
            container.id = %id, request.id = %caller.context.request,
            "accepted the removal of container {id}"
        );
        match deleted {
            Deleted::OnHost(both) => {
                let (record, accepted) = *both;
                self.hub.publish(&record);
                if self.live_host(&accepted.host).await.is_err() {
                    return Ok(());
                }
                let asked = Instant::now();
                let nudged = self.nudge(&caller.context, accepted).await;
                if how == Deletion::StopFirst && asked.elapsed() >= AGENT_HAS_WAITED {
                    self.until_removed(caller, id).await;
                }
                match nudged {
                    // The removal was accepted: it stays open even if an agent refuses it.
                    Ok(()) | Err(AppError::Refused { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }
            Deleted::Without(record) => {
                let ended = Ended::at_once(Kind::Delete, OutcomeKind::Succeeded);
                self.metrics.count_operations([ended]);
                self.hub.publish(&as_deleted(*record));
                Ok(())
            }
            Deleted::WrongStatus(status) => {
                Err(AppError::WrongStatus { action: Action::Delete, id, status })
            }
            Deleted::Missing => Err(AppError::ContainerNotFound(id.to_string())),
        }
    }
}

impl App {
    /// Waits until the host has removed the container, so that its name in networks and its ports are free. The removal
    /// is accepted, whether or not this can wait for it.
    async fn until_removed(&self, caller: &Caller, id: ContainerId) {
        let removed = WaitFor {
            statuses: vec![Status::Deleted],
            timeout: STOPPED_WITHIN,
            unless_updated: None,
        };
        let ident = Ident(id.to_string());
        if let Err(error) = Box::pin(self.wait_for(caller, &ident, &removed)).await {
            tracing::debug!(
                container.id = %id, error = %chain(&error), "cannot wait for the removal of container {id}"
            );
        }
    }
}

fn write_tombstone(
    conn: &mut Conn,
    (caller, key): (&Caller, Option<&RequestKey>),
    (id, how): (ContainerId, Deletion),
) -> Result<Deleted, DbError> {
    lock::container(conn, id)?;
    let read = container::by_id(conn, &Scope::All, id);
    let Some(record) = container::or_stand_in(conn, id, read)? else {
        return Ok(Deleted::Missing);
    };
    if !record.status.allows(how.action()) {
        return Ok(Deleted::WrongStatus(record.status));
    }
    let Some(deleted) = container::write_tombstone(conn, id)? else {
        return Ok(Deleted::Missing);
    };
    operation::supersede(conn, id)?;
    let (user, request) = (&caller.identity.user, &caller.context.request);
    let change = Change::Delete { how: how.removal() };
    let new = NewOperation { subject: (&record).into(), user, request, key, change, limit: None };
    if let Some(host) = &record.host {
        let accepted = operation::accept(conn, host, new)?;
        return Ok(Deleted::OnHost(Box::new((deleted, accepted))));
    }
    operation::record(conn, &new, &Outcome::Succeeded)?;
    container::confirm_removal(conn, id)?;
    Ok(Deleted::Without(Box::new(record)))
}
