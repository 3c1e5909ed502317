//! `zun list --watch`: the list again, whenever it changes.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use zun_common::api::v1::container::Container;
use zun_common::status::Status;

use super::super::starting::is_unreachable;
use super::List;
use super::changes::{Changes, Source, follow};
use super::filter::Filters;
use crate::api::{ApiError, Client};
use crate::cmd::Failure;
use crate::exit::Exit;
use crate::out::{self, Live, Printer, clean};
use crate::tty::signals::Signals;

/// Events within this time lead to one request, and there is at most one request per [`INTERVAL`].
const GATHER_TIME: Duration = Duration::from_millis(200);
/// The interval between two reads of the list without events, and while an operation is in progress: its steps are no
/// events.
const INTERVAL: Duration = Duration::from_secs(1);
/// The interval between two reads of the list while zun receives events. Some changes are no events, such as the
/// beginning of an operation.
const INTERVAL_WITH_EVENTS: Duration = Duration::from_secs(10);
/// The interval at which a terminal updates the times in the list.
const TICK: Duration = Duration::from_secs(1);

/// Shows the list until a signal ends it: redrawn in place on a terminal, else one after the other. While the service
/// does not answer, a terminal shows that below the last list.
pub(super) async fn watch(
    api: &Client,
    printer: &Printer,
    (list, filters): (&List, &Filters),
) -> Result<Exit, Failure> {
    let mut signals = Signals::catch()?;
    let changes = Changes::default();
    let watch = Watch { api, printer, list, filters, changes: &changes };
    tokio::select! {
        outcome = watch.show() => match outcome? {},
        never = follow(api, list.all_projects, &changes) => match never {},
        number = signals.ended() => Err(Failure::silent(Exit(number.exit_code()))),
    }
}

struct Watch<'a> {
    api: &'a Client,
    printer: &'a Printer,
    list: &'a List,
    filters: &'a Filters,
    changes: &'a Changes,
}

/// What is shown.
#[derive(Default)]
struct Last {
    containers: Option<Vec<Container>>,
    /// Why the list may be old.
    stale_reason: Option<String>,
    /// Whether the user was warned that events are not available.
    has_warned: bool,
}

impl Watch<'_> {
    async fn show(&self) -> Result<Infallible, Failure> {
        let mut live = Live::new(self.printer);
        let mut last = Last::default();
        loop {
            let fetched = self.list.fetch(self.api, self.filters).await;
            let read = Instant::now();
            if let Err(failure) = self.take(fetched, &mut last) {
                drop(live);
                return Err(failure);
            }
            self.warn(&mut last);
            self.draw(&mut live, &last)?;
            while !self.is_due(&last, read).await {
                self.draw(&mut live, &last)?;
            }
        }
    }

    /// Takes what was read. On a pipe, prints it if it has changed.
    fn take(
        &self,
        fetched: Result<Vec<Container>, ApiError>,
        last: &mut Last,
    ) -> Result<(), Failure> {
        let containers = match fetched {
            Ok(containers) => containers,
            Err(error) if is_unreachable(&error) && last.containers.is_some() => {
                last.stale_reason = Some(format!("{}; trying again", zun_common::chain(&error)));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        last.stale_reason = None;
        if !self.printer.is_live() && last.containers.as_ref() != Some(&containers) {
            self.list.print(self.printer, &containers)?;
        }
        last.containers = Some(containers);
        Ok(())
    }

    /// On a pipe, warns once that events are not available. A terminal shows this below the list.
    fn warn(&self, last: &mut Last) {
        if let Some(why) = self.without_events().filter(|_| !last.has_warned) {
            last.has_warned = true;
            if !self.printer.is_live() {
                out::notice(&why);
            }
        }
    }

    /// On a terminal, draws the list and notices about it.
    fn draw(&self, live: &mut Live<'_>, last: &Last) -> Result<(), Failure> {
        let Some(containers) = last.containers.as_ref().filter(|_| self.printer.is_live()) else {
            return Ok(());
        };
        let text = self.list.rendered(self.printer, containers)?;
        let without = self.without_events();
        let notes: Vec<String> =
            last.stale_reason.iter().chain(&without).map(|it| clean(it)).collect();
        let notes =
            if notes.is_empty() { String::new() } else { format!("\n\n{}", notes.join("\n")) };
        Ok(live.draw(&format!("{text}{notes}"))?)
    }

    fn without_events(&self) -> Option<String> {
        match self.changes.source() {
            Source::None(why) => {
                Some(format!("cannot follow events, so zun reads the list every second: {why}"))
            }
            Source::Events | Source::Lost => None,
        }
    }

    async fn is_due(&self, last: &Last, read: Instant) -> bool {
        let often =
            last.stale_reason.is_some() || last.containers.iter().flatten().any(is_in_progress);
        is_due(self.changes, (read, often), self.printer.is_live()).await
    }
}

/// Waits until the list is to be read again. If it ticks, returns `false` after a second: durations have changed.
async fn is_due(changes: &Changes, (read, often): (Instant, bool), ticks: bool) -> bool {
    let often = often || changes.source() != Source::Events;
    let due = read + if often { INTERVAL } else { INTERVAL_WITH_EVENTS };
    tokio::select! {
        biased;
        () = changes.wait() => {
            sleep_until((Instant::now() + GATHER_TIME).max(read + INTERVAL)).await;
            true
        }
        () = sleep_until(due) => true,
        () = sleep(TICK), if ticks => false,
    }
}

/// Whether an operation is in progress. Its steps are no events.
fn is_in_progress(container: &Container) -> bool {
    container.task_state.is_some()
        || matches!(container.status, Status::Creating | Status::Rebuilding | Status::Deleting)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_list_is_read_after_an_event_and_seldom_without_one() {
        let changes = Changes::default();
        let waited_since = async |read: Instant, often: bool| {
            let begun = Instant::now();
            assert!(is_due(&changes, (read, often), false).await);
            begun.elapsed()
        };
        let waited = async |often: bool| waited_since(Instant::now(), often).await;
        assert_eq!(waited(false).await, INTERVAL, "no stream of events yet");
        changes.set(Source::Events);
        assert_eq!(waited(false).await, INTERVAL, "something may have changed before");
        assert_eq!(waited(false).await, INTERVAL_WITH_EVENTS);
        assert_eq!(waited(true).await, INTERVAL, "an operation is in progress");
        changes.set(Source::Events);
        changes.set(Source::Events);
        let long_ago = Instant::now();
        sleep(INTERVAL).await;
        assert_eq!(waited_since(long_ago, false).await, GATHER_TIME);
        assert_eq!(waited(false).await, INTERVAL_WITH_EVENTS, "two events are one read");
        changes.set(Source::None("refused".to_owned()));
        assert_eq!(waited(false).await, INTERVAL);
        assert_eq!(waited(false).await, INTERVAL);
        let begun = Instant::now();
        assert!(!is_due(&changes, (begun + INTERVAL_WITH_EVENTS, false), true).await, "a tick");
        assert_eq!(begun.elapsed(), TICK);
    }
}
