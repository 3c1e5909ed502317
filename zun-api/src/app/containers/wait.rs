//! Waits until a container has one of several statuses, without polling by the client.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use zun_common::api::v1::time::text;
use zun_common::id::ContainerId;
use zun_common::status::Status;

use super::Ident;
use crate::app::{App, AppError, Caller};
use crate::db::container::{self, Record};
use crate::db::{Conn, DbError};
use crate::wait::{Event, Permit};

/// The conditions that end a wait.
#[derive(Debug, Clone)]
pub(crate) struct WaitFor {
    pub(crate) statuses: Vec<Status>,
    pub(crate) timeout: Duration,
    /// The `updated_at` that the client last saw. Any later change ends the wait too.
    pub(crate) unless_updated: Option<String>,
}

impl App {
    /// Waits until the container has one of the statuses or is removed, or until the timeout. Returns its state at that
    /// time.
    pub(crate) async fn wait_for(
        &self,
        caller: &Caller,
        ident: &Ident,
        condition: &WaitFor,
    ) -> Result<Record, AppError> {
        // Taken first, so that the limit includes the reads.
        let permit = self.hub.permit()?;
        self.wait_with(permit, caller, (ident, condition)).await
    }

    /// Waits like [`Self::wait_for`], with a permit that the request already has.
    pub(super) async fn wait_with(
        &self,
        permit: Permit,
        caller: &Caller,
        (ident, condition): (&Ident, &WaitFor),
    ) -> Result<Record, AppError> {
        let first = match self.find_also_unreadable(caller, ident).await {
            Ok(record) => record,
            // Its last run may not have ended yet, and its host may not have removed it.
            Err(error) => self.deleted(caller, ident).await?.ok_or(error)?,
        };
        let mut subscription = self.hub.subscribe(permit, first.id);
        // Read again: the container may have changed before this request subscribed.
        let mut last = self.reload(&first).await?;
        let end = Instant::now() + condition.timeout;
        while !condition.is_met(&last) {
            let event = tokio::select! {
                () = sleep_until(end) => break,
                event = subscription.next() => event,
            };
            match event {
                Event::Changed(record) => last = Record::clone(&record),
                Event::Deleted => last = as_deleted(last),
                Event::Lagged => last = self.reload(&last).await?,
                Event::Closing => break,
            }
        }
        Ok(last)
    }

    /// Returns a deleted container, by its ID, if the caller may see it. It is `Deleting` until its host has removed it.
    pub(crate) async fn deleted(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<Option<Record>, AppError> {
        let Ok(id) = ident.0.parse() else { return Ok(None) };
        let found = self.db.read(move |conn| read(conn, id)).await?;
        Ok(found.filter(|record| record.deleted_at.is_some() && caller.sees(&record.project)))
    }

    /// Reads the container again. If its row is gone, returns the last state with status `Deleted`.
    async fn reload(&self, last: &Record) -> Result<Record, AppError> {
        let id = last.id;
        let now = self.db.read(move |conn| read(conn, id)).await?;
        // A container whose removal is in progress is `Deleting`: its last run may not have ended yet.
        Ok(now.unwrap_or_else(|| as_deleted(last.clone())))
    }
}

/// The container in any state, as one in Error if its row cannot be read.
fn read(conn: &mut Conn, id: ContainerId) -> Result<Option<Record>, DbError> {
    let read = container::with_tombstone(conn, id);
    container::or_stand_in(conn, id, read)
}

/// A deleted container in its last state. Its removal may still be in progress on its host.
pub(super) fn as_deleted(record: Record) -> Record {
    Record { status: Status::Deleted, task_state: None, ..record }
}

impl WaitFor {
    fn is_met(&self, record: &Record) -> bool {
        record.status == Status::Deleted
            || self.statuses.contains(&record.status)
            || self.unless_updated.as_ref().is_some_and(|seen| *seen != text(record.updated_at))
    }
}
