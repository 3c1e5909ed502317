//! The runs of a container, and waiting for the end of one.
//!
//! ```text
//!  run N: not begun ──> running ──> ended
//!             └── failed to start, or the container is gone ──^      an end is final, also after run N+1 began
//! ```

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use zun_common::id::ContainerId;
use zun_common::status::{EndReason, Status};

use super::Ident;
use crate::app::{App, AppError, Caller};
use crate::db::container::{self, Record, Run};
use crate::wait::Event;

/// How long after a SIGKILL the engine may take to report that the container was out of memory.
const LATE_REASON: Duration = Duration::from_secs(1);
/// The exit code of a process that SIGKILL ended.
const KILLED: i64 = 137;

/// What a request waits for.
#[derive(Debug, Clone)]
pub(crate) struct WaitForRun {
    /// The number of the run; the newest if `None`, or the first if there is none.
    pub(crate) run: Option<i64>,
    pub(crate) timeout: Duration,
    /// Whether it waits only until the run has begun.
    pub(crate) begun: bool,
    /// Whether it waits a moment longer for the reason of a SIGKILL.
    pub(crate) explain: bool,
}

impl App {
    /// Returns the newest runs of a container, newest first. A deleted container is found by its ID.
    pub(crate) async fn runs(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<(Record, Vec<Run>), AppError> {
        let record = self.find_or_deleted(caller, ident).await?;
        let id = record.id;
        let runs = self.db.read(move |conn| container::runs(conn, id)).await?;
        Ok((record, runs))
    }

    /// Waits until a run has ended, or until the timeout. Returns the run at that time.
    pub(crate) async fn wait_for_run(
        &self,
        caller: &Caller,
        ident: &Ident,
        wanted: &WaitForRun,
    ) -> Result<(Record, Run), AppError> {
        // Taken first, so that the limit includes the reads below.
        let permit = self.hub.permit()?;
        let id = self.find_or_deleted(caller, ident).await?.id;
        let mut subscription = self.hub.subscribe(permit, id);
        let (mut record, mut runs) = self.read_runs(id).await?;
        let number = wanted.run.unwrap_or(record.run.max(1));
        let mut end = Instant::now() + wanted.timeout;
        let mut is_late = false;
        loop {
            let run = state_of(number, &record, &runs)
                .ok_or_else(|| AppError::RunNotFound { container: id, run: number })?;
            let is_over = run.reason.is_some() || (wanted.begun && run.started_at.is_some());
            if is_over && !(wanted.explain && may_be_explained(&run)) {
                return Ok((record, run));
            }
            if is_over && !std::mem::replace(&mut is_late, true) {
                end = end.min(Instant::now() + LATE_REASON);
            }
            let event = tokio::select! {
                () = sleep_until(end) => return Ok((record, run)),
                event = subscription.next() => event,
            };
            match event {
                Event::Closing => return Ok((record, run)),
                // The same state again, from a poll for another request.
                Event::Changed(newer) if is_same(&newer, &record) => {}
                Event::Changed(_) | Event::Deleted | Event::Lagged => {
                    (record, runs) = self.read_runs(id).await?;
                }
            }
        }
    }

    async fn read_runs(&self, id: ContainerId) -> Result<(Record, Vec<Run>), AppError> {
        let read = move |conn: &mut crate::db::Conn| {
            let record = container::with_tombstone(conn, id)?;
            Ok((record, container::runs(conn, id)?))
        };
        let (record, runs) = self.db.read(read).await?;
        Ok((record.ok_or_else(|| AppError::ContainerNotFound(id.to_string()))?, runs))
    }
}

fn is_same(one: &Record, other: &Record) -> bool {
    (one.epoch, one.generation, one.status, one.updated_at)
        == (other.epoch, other.generation, other.status, other.updated_at)
}

fn may_be_explained(run: &Run) -> bool {
    run.exit_code == Some(KILLED) && run.reason == Some(EndReason::Signal)
}

/// The state of run `number`. `None` if it is so old that it was purged. `runs` are the newest, the newest first.
fn state_of(number: i64, record: &Record, runs: &[Run]) -> Option<Run> {
    let known = runs.iter().find(|run| run.number == number);
    if known.is_none() && number <= record.run {
        return None;
    }
    let run = known.cloned().unwrap_or(Run {
        number,
        started_at: None,
        finished_at: None,
        exit_code: None,
        reason: None,
        message: None,
    });
    if run.reason.is_some() {
        return Some(run);
    }
    if record.status == Status::Deleted {
        return Some(Run { reason: Some(EndReason::Removed), ..run });
    }
    if known.is_none() && cannot_begin(record, runs.first()) {
        let (exit_code, message) = (record.exit_code, record.status_reason.clone());
        return Some(Run { exit_code, message, reason: Some(EndReason::NotStarted), ..run });
    }
    Some(run)
}

/// Whether the container is in error, and not because an earlier run could not start: such a container can be started
/// again.
fn cannot_begin(record: &Record, newest: Option<&Run>) -> bool {
    let is_retried = newest.is_some_and(|run| run.reason == Some(EndReason::NotStarted));
    record.task_state.is_none()
        && matches!(record.status, Status::Error | Status::Dead)
        && !is_retried
}
