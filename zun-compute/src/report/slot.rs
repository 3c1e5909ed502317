//! What of one container is to be told, is on its way, and was told.
//!
//! ```text
//!  put ──> first (newest replaces it) ──take──> in flight ──told──> sent
//!            ^                                      │
//!            └── behind what must be told first ──  └─untold──> first, unless there is a newer one
//! ```

use zun_common::rpc::report::ContainerReport;
use zun_common::status::Status;

/// The reports of one container.
#[derive(Debug, Default)]
pub(super) struct Slot {
    first: Option<ContainerReport>,
    behind: Option<ContainerReport>,
    in_flight: Option<ContainerReport>,
    sent: Option<ContainerReport>,
    generation: i64,
}

impl Slot {
    /// Takes a report to be told, in the place of one that was not yet. One that says nothing new is
    /// dropped. A removal does not replace an error, nor the next run the end of the one before: whoever
    /// waits for the container must learn of it.
    pub(super) fn put(&mut self, report: ContainerReport, now: i64) {
        if self.newest().is_some_and(|newest| says_the_same(newest, &report)) {
            return;
        }
        let told = self.in_flight.as_ref().or(self.sent.as_ref());
        if self.behind.is_none() && told.is_some_and(|told| says_the_same(told, &report)) {
            self.first = None;
            return;
        }
        let report = self.stamp(report, now);
        let waits = self.first.as_ref().is_some_and(|first| is_told_before(first, &report));
        if self.behind.is_some() || waits {
            self.behind = Some(report);
        } else {
            self.first = Some(report);
        }
    }

    /// The next one to tell, unless one is on its way.
    pub(super) fn take(&mut self) -> Option<ContainerReport> {
        if self.in_flight.is_some() {
            return None;
        }
        let next = self.first.take()?;
        self.first = self.behind.take();
        self.in_flight = Some(next.clone());
        Some(next)
    }

    /// The one on its way arrived.
    pub(super) fn told(&mut self) {
        if let Some(report) = self.in_flight.take() {
            self.sent = Some(report);
        }
    }

    /// It may have arrived or not.
    pub(super) fn untold(&mut self) {
        let Some(late) = self.in_flight.take() else { return };
        self.sent = None;
        match &self.first {
            None => self.first = Some(late),
            Some(newer) if self.behind.is_none() && is_told_before(&late, newer) => {
                self.behind = self.first.replace(late);
            }
            Some(_) => {}
        }
    }

    pub(super) const fn waits(&self) -> bool {
        self.first.is_some() && self.in_flight.is_none()
    }

    /// Another one waits behind the one on its way.
    pub(super) const fn has_more(&self) -> bool {
        self.first.is_some()
    }

    /// Everything was told.
    pub(super) const fn is_idle(&self) -> bool {
        self.first.is_none() && self.in_flight.is_none()
    }

    /// The last one that was put.
    pub(super) fn newest(&self) -> Option<&ContainerReport> {
        self.behind
            .as_ref()
            .or(self.first.as_ref())
            .or(self.in_flight.as_ref())
            .or(self.sent.as_ref())
    }

    fn stamp(&mut self, mut report: ContainerReport, now: i64) -> ContainerReport {
        self.generation = now.max(self.generation.saturating_add(1));
        report.generation = self.generation;
        report
    }
}

/// Whether the first is told although the second is newer: an error before a removal, and the end of a run before
/// another run.
fn is_told_before(one: &ContainerReport, newer: &ContainerReport) -> bool {
    let is_error = one.status == Status::Error && newer.status == Status::Deleted;
    let is_end = one.finished_at.is_some() && newer.started_at > one.started_at;
    is_error || is_end
}

fn says_the_same(one: &ContainerReport, other: &ContainerReport) -> bool {
    let other = ContainerReport { generation: one.generation, ..other.clone() };
    *one == other
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zun_common::id::ContainerId;

    use super::*;

    fn report(status: Status) -> ContainerReport {
        ContainerReport {
            container: "7b0c8a3e-5f5e-4c5a-9d29-6e1f6f2f3f11"
                .parse::<ContainerId>()
                .expect("an id"),
            host: "h".parse().expect("a name"),
            generation: 0,
            status,
            task_state: None,
            status_reason: None,
            engine: None,
            exit_code: None,
            oom_killed: false,
            started_at: None,
            finished_at: None,
            attached: 0,
            image_pull: None,
        }
    }

    #[test]
    fn the_newest_is_told_and_those_before_it_are_not() {
        let mut slot = Slot::default();
        for status in [Status::Created, Status::Running, Status::Stopped] {
            slot.put(report(status), 10);
        }
        let told = slot.take().expect("one");
        assert_eq!((told.status, told.generation), (Status::Stopped, 12));
        slot.told();
        assert!(slot.take().is_none());
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let mut slot = Slot::default();
        slot.put(report(Status::Running), 1);
        slot.take().expect("one");
        slot.told();
        slot.put(report(Status::Running), 2);
        assert!(slot.is_idle());
        slot.put(report(Status::Paused), 3);
        slot.put(report(Status::Running), 4);
        assert!(slot.is_idle(), "it came back to what was told");
    }

    #[test]
    fn one_that_may_not_have_arrived_is_told_again_unless_there_is_a_newer_one() {
        let mut slot = Slot::default();
        slot.put(report(Status::Running), 1);
        slot.take().expect("one");
        slot.untold();
        assert_eq!(slot.take().expect("again").status, Status::Running);
        slot.put(report(Status::Stopped), 2);
        slot.untold();
        assert_eq!(slot.take().expect("the newer").status, Status::Stopped);
        slot.told();
        assert!(slot.is_idle());
    }

    #[test]
    fn an_error_is_told_before_the_removal_that_follows_it() {
        let mut slot = Slot::default();
        slot.put(report(Status::Error), 1);
        slot.put(report(Status::Deleted), 1);
        assert_eq!(slot.take().expect("the error").status, Status::Error);
        slot.untold();
        assert_eq!(slot.take().expect("the error again").status, Status::Error);
        slot.told();
        assert_eq!(slot.take().expect("the removal").status, Status::Deleted);
    }

    #[test]
    fn the_end_of_a_run_is_told_before_the_next_run() {
        let run = |status, second, ended: bool| {
            let at = |second| chrono::DateTime::from_timestamp(second, 0);
            let finished_at = if ended { at(second) } else { None };
            ContainerReport { started_at: at(second), finished_at, ..report(status) }
        };
        let mut slot = Slot::default();
        slot.put(run(Status::Restarting, 1, true), 1);
        slot.put(run(Status::Running, 2, false), 2);
        slot.put(run(Status::Restarting, 2, true), 3);
        let told = slot.take().expect("the end");
        assert_eq!((told.status, told.generation), (Status::Restarting, 1));
        slot.told();
        let told = slot.take().expect("the newest");
        assert_eq!((told.status, told.generation), (Status::Restarting, 3));
        slot.put(run(Status::Running, 3, false), 4);
        slot.untold();
        assert_eq!(slot.take().expect("the end again").status, Status::Restarting);
        slot.told();
        assert_eq!(slot.take().expect("the next run").status, Status::Running);
    }

    proptest! {
        #[test]
        fn generations_only_rise_and_the_last_state_is_told_in_the_end(
            steps in prop::collection::vec((0_u8..5, 0_i64..50), 1..60)
        ) {
            let states = [Status::Created, Status::Running, Status::Stopped, Status::Paused];
            let (mut slot, mut last, mut wanted) = (Slot::default(), 0, None);
            let mut told = None;
            for (step, now) in steps {
                match step {
                    0 => if let Some(report) = slot.take() {
                        prop_assert!(report.generation >= last);
                        last = report.generation;
                        told = Some(report.status);
                        slot.told();
                    },
                    1 => if let Some(report) = slot.take() {
                        prop_assert!(report.generation >= last);
                        last = report.generation;
                        slot.untold();
                    },
                    _ => {
                        let status = states[usize::try_from(now).expect("small") % states.len()];
                        slot.put(report(status), now);
                        wanted = Some(status);
                    }
                }
            }
            while let Some(report) = slot.take() {
                told = Some(report.status);
                slot.told();
            }
            prop_assert_eq!(told, wanted);
        }
    }
}
