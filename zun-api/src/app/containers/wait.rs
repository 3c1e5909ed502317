//! Waiting for a container to be in one of some statuses, without polling.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use zun_common::api::v1::time::text;
use zun_common::status::Status;

use super::Ident;
use crate::app::{App, AppError, Caller};
use crate::db::container::{self, Record, Scope};
use crate::wait::Heard;

/// Reports are told at once by the zun-api that applies them. Where several share one database, another
/// may apply them, and the row has to be looked at for that; so seldom that it costs nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Which statuses end the wait, and what does otherwise.
#[derive(Debug, Clone)]
pub(crate) struct WaitFor {
    pub(crate) statuses: Vec<Status>,
    pub(crate) timeout: Duration,
    /// Any change since the time that was shown then (`updated_at`) ends the wait too.
    pub(crate) unless_updated: Option<String>,
}

impl App {
    /// Waits until the container is in one of the statuses, or gone, or the time is over; answers how it
    /// is then.
    pub(crate) async fn wait_for(
        &self,
        caller: &Caller,
        ident: &Ident,
        wanted: &WaitFor,
    ) -> Result<Record, AppError> {
        let first = match self.find(caller, ident).await {
            Ok(record) => record,
            Err(error) => return self.recently_deleted(caller, ident).ok_or(error),
        };
        let mut listener = self.hub.listen(first.id)?;
        // Once more, for what came between the first look and the listening.
        let mut last = self.reload(&first).await?;
        let end = Instant::now() + wanted.timeout;
        let mut next_poll = Instant::now() + POLL_INTERVAL;
        while !wanted.is_met(&last) {
            tokio::select! {
                () = sleep_until(end) => break,
                () = sleep_until(next_poll) => {
                    last = self.reload(&last).await?;
                    next_poll = Instant::now() + POLL_INTERVAL;
                }
                heard = listener.next() => match heard {
                    Heard::Changed(record) => last = Record::clone(&record),
                    Heard::Missed => last = self.reload(&last).await?,
                    Heard::Closing => break,
                },
            }
        }
        Ok(last)
    }

    /// How a container was last that has just gone, if it is named by its identifier and the caller's to see.
    fn recently_deleted(&self, caller: &Caller, ident: &Ident) -> Option<Record> {
        let last = self.hub.last_of(ident.0.parse().ok()?)?;
        let seen = match caller.visible_scope() {
            Scope::All => true,
            Scope::Project(project) => project == last.project,
        };
        seen.then(|| Record::clone(&last))
    }

    /// How it is now; one whose row is gone is as it was last, and deleted.
    async fn reload(&self, last: &Record) -> Result<Record, AppError> {
        let id = last.id;
        let now = self.db.run(move |conn| container::by_id(conn, &Scope::All, id)).await?;
        Ok(now.unwrap_or_else(|| Record {
            status: Status::Deleted,
            task_state: None,
            ..last.clone()
        }))
    }
}

impl WaitFor {
    fn is_met(&self, record: &Record) -> bool {
        record.status == Status::Deleted
            || self.statuses.contains(&record.status)
            || self.unless_updated.as_ref().is_some_and(|seen| *seen != text(record.updated_at))
    }
}
