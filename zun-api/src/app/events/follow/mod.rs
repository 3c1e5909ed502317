//! Follows the events for one client.
//!
//! ```text
//!  read a page ──> send what the filter selects ──> more? read the next page
//!       ^                                             │ no
//!       └── recorded, held, or 10 seconds without notification ── wait ──> until, closing, an hour: end
//! ```

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use chrono::NaiveDateTime;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use zun_common::api::v1::event::EventsEndReason;

use super::filter::EventFilter;
use crate::db::DbError;
use crate::db::event::{Page, Position, Recorded};

/// How many items wait for the client.
pub(super) const QUEUE: usize = 16;
/// The time between two items if nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client may take for an item.
const STALL: Duration = Duration::from_secs(30);
/// How long a stream lasts. Its client authenticates again after that.
const LONGEST: Duration = Duration::from_hours(1);
/// The time between a wake-up and the read. Events within it share the read.
const PAUSE: Duration = Duration::from_millis(50);
/// The time between two reads while a transaction holds events back.
const HELD_PAUSE: Duration = Duration::from_millis(200);
/// The time between two reads if nothing wakes the stream, and while the bus is down and brings no notifications.
const INTERVAL: Duration = Duration::from_secs(10);
const INTERVAL_WITHOUT_NOTIFICATIONS: Duration = Duration::from_secs(2);

/// What a client gets.
#[derive(Debug)]
pub(crate) enum Item {
    Event(Box<Recorded>),
    /// The stream is alive, and has reached this position.
    Alive(Position),
    /// The last item.
    End(EventsEndReason),
}

/// A stream of events.
pub(super) struct Follow {
    pub(super) sender: mpsc::Sender<Item>,
    pub(super) recorded: watch::Receiver<()>,
    pub(super) filter: EventFilter,
    /// When it ends.
    pub(super) until: Option<NaiveDateTime>,
    pub(super) closing: CancellationToken,
}

/// Why a stream does not continue.
enum Stop {
    /// The client gets the reason.
    End(EventsEndReason),
    Gone,
    Failed(DbError),
}

impl Follow {
    /// Sends events until the client is gone, or the stream ends. Fails if they cannot be read.
    pub(super) async fn run<F>(
        mut self,
        position: Position,
        (read, is_notified): (impl Fn(Position) -> F, impl Fn() -> bool),
    ) -> Result<(), DbError>
    where
        F: Future<Output = Result<Page, DbError>>,
    {
        // Space for the last item, even if the client reads nothing.
        let Ok(last) = self.sender.clone().try_reserve_owned() else { return Ok(()) };
        let Err(stop) = self.follow(position, (read, is_notified)).await;
        let (reason, outcome) = match stop {
            Stop::Gone => return Ok(()),
            Stop::End(reason) => (reason, Ok(())),
            Stop::Failed(error) => (EventsEndReason::Failed, Err(error)),
        };
        last.send(Item::End(reason));
        outcome
    }

    async fn follow<F>(
        &mut self,
        mut position: Position,
        (read, is_notified): (impl Fn(Position) -> F, impl Fn() -> bool),
    ) -> Result<Infallible, Stop>
    where
        F: Future<Output = Result<Page, DbError>>,
    {
        let end = Instant::now() + LONGEST;
        // The client gets its position before the first event.
        self.send(Item::Alive(position)).await?;
        let mut alive = Instant::now() + HEARTBEAT;
        loop {
            self.recorded.borrow_and_update();
            let page = read(position).await.map_err(Stop::Failed)?;
            for event in page.events.into_iter().filter(|event| self.filter.matches(event)) {
                self.send(Item::Event(Box::new(event))).await?;
                alive = Instant::now() + HEARTBEAT;
            }
            position = page.end;
            if page.is_full {
                continue;
            }
            let left = self.until.map(|until| (until - page.at).to_std().unwrap_or_default());
            if left == Some(Duration::ZERO) && !page.is_held {
                return Err(Stop::End(EventsEndReason::Until));
            }
            let next = if page.is_held {
                HELD_PAUSE
            } else if is_notified() {
                INTERVAL
            } else {
                INTERVAL_WITHOUT_NOTIFICATIONS
            };
            let next =
                Instant::now() + left.filter(|left| !left.is_zero()).unwrap_or(next).min(next);
            self.wait((next, end), &mut alive, position).await?;
        }
    }

    /// Waits until there may be new events, or until `next`.
    async fn wait(
        &mut self,
        (next, end): (Instant, Instant),
        alive: &mut Instant,
        position: Position,
    ) -> Result<(), Stop> {
        loop {
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return Err(Stop::End(EventsEndReason::Closing)),
                () = self.sender.closed() => return Err(Stop::Gone),
                () = sleep_until(end) => return Err(Stop::End(EventsEndReason::Expired)),
                () = sleep_until(next) => return Ok(()),
                // The hub outlives the stream.
                _changed = self.recorded.changed() => {
                    sleep(PAUSE).await;
                    return Ok(());
                }
                () = sleep_until(*alive) => {
                    self.send(Item::Alive(position)).await?;
                    *alive = Instant::now() + HEARTBEAT;
                }
            }
        }
    }

    async fn send(&self, item: Item) -> Result<(), Stop> {
        let sent = timeout(STALL, self.sender.send(item));
        match self.closing.run_until_cancelled(sent).await {
            Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(_closed))) => Err(Stop::Gone),
            Some(Err(_elapsed)) => Err(Stop::End(EventsEndReason::Slow)),
            None => Err(Stop::End(EventsEndReason::Closing)),
        }
    }
}

#[cfg(test)]
mod tests;
