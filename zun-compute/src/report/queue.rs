//! The reports of one container: waiting, in flight and acknowledged.
//!
//! ```text
//!  push ──> next (replaced by a newer one) ──take──> in flight ──acknowledged──> last
//!             ^                                          │
//!             └── after_next                             └─failed──> next, unless there is a newer one
//! ```

use zun_common::rpc::report::ContainerReport;
use zun_common::status::Status;

/// The reports of one container that are not acknowledged, and the last one that is.
#[derive(Debug, Default)]
pub(super) struct ReportQueue {
    next: Option<ContainerReport>,
    after_next: Option<ContainerReport>,
    in_flight: Option<ContainerReport>,
    last: Option<ContainerReport>,
    generation: i64,
}

impl ReportQueue {
    /// Adds a report, which replaces a waiting one. Drops a report without news. A removal does not replace an error,
    /// and the next run does not replace the end of the run before: clients may wait for these.
    pub(super) fn push(&mut self, report: ContainerReport, now: i64) {
        if self.newest().is_some_and(|newest| is_equal(newest, &report)) {
            return;
        }
        let sent = self.in_flight.as_ref().or(self.last.as_ref());
        if self.after_next.is_none() && sent.is_some_and(|sent| is_equal(sent, &report)) {
            self.next = None;
            return;
        }
        let report = self.stamp(report, now);
        let keeps_next = self.next.as_ref().is_some_and(|next| is_sent_before(next, &report));
        if self.after_next.is_some() || keeps_next {
            self.after_next = Some(report);
        } else {
            self.next = Some(report);
        }
    }

    /// The next report to send, unless one is in flight.
    pub(super) fn take(&mut self) -> Option<ContainerReport> {
        if self.in_flight.is_some() {
            return None;
        }
        let next = self.next.take()?;
        self.next = self.after_next.take();
        self.in_flight = Some(next.clone());
        Some(next)
    }

    /// zun-api has stored the report in flight.
    pub(super) fn acknowledged(&mut self) {
        if let Some(report) = self.in_flight.take() {
            self.last = Some(report);
        }
    }

    /// The report in flight may have arrived or not.
    pub(super) fn failed(&mut self) {
        let Some(late) = self.in_flight.take() else { return };
        self.last = None;
        match &self.next {
            None => self.next = Some(late),
            Some(newer) if self.after_next.is_none() && is_sent_before(&late, newer) => {
                self.after_next = self.next.replace(late);
            }
            Some(_) => {}
        }
    }

    pub(super) const fn is_ready(&self) -> bool {
        self.next.is_some() && self.in_flight.is_none()
    }

    /// Whether another report waits.
    pub(super) const fn has_more(&self) -> bool {
        self.next.is_some()
    }

    /// Whether everything is acknowledged.
    pub(super) const fn is_idle(&self) -> bool {
        self.next.is_none() && self.in_flight.is_none()
    }

    /// The last report that was added.
    pub(super) fn newest(&self) -> Option<&ContainerReport> {
        self.after_next
            .as_ref()
            .or(self.next.as_ref())
            .or(self.in_flight.as_ref())
            .or(self.last.as_ref())
    }

    fn stamp(&mut self, mut report: ContainerReport, now: i64) -> ContainerReport {
        self.generation = now.max(self.generation.saturating_add(1));
        report.generation = self.generation;
        report
    }
}

/// Whether the first is sent although the second is newer: an error before a removal, and the end of a run before
/// another run.
fn is_sent_before(one: &ContainerReport, newer: &ContainerReport) -> bool {
    let is_error = one.status == Status::Error && newer.status == Status::Deleted;
    let is_end = one.finished_at.is_some() && newer.started_at > one.started_at;
    is_error || is_end
}

fn is_equal(one: &ContainerReport, other: &ContainerReport) -> bool {
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
    fn only_the_newest_report_is_sent() {
        let mut queue = ReportQueue::default();
        for status in [Status::Created, Status::Running, Status::Stopped] {
            queue.push(report(status), 10);
        }
        let sent = queue.take().expect("one");
        assert_eq!((sent.status, sent.generation), (Status::Stopped, 12));
        queue.acknowledged();
        assert!(queue.take().is_none());
    }

    #[test]
    fn an_acknowledged_report_is_not_sent_again() {
        let mut queue = ReportQueue::default();
        queue.push(report(Status::Running), 1);
        queue.take().expect("one");
        queue.acknowledged();
        queue.push(report(Status::Running), 2);
        assert!(queue.is_idle());
        queue.push(report(Status::Paused), 3);
        queue.push(report(Status::Running), 4);
        assert!(queue.is_idle(), "it is again as in the acknowledged report");
    }

    #[test]
    fn a_report_that_may_be_lost_is_sent_again_unless_there_is_a_newer_one() {
        let mut queue = ReportQueue::default();
        queue.push(report(Status::Running), 1);
        queue.take().expect("one");
        queue.failed();
        assert_eq!(queue.take().expect("again").status, Status::Running);
        queue.push(report(Status::Stopped), 2);
        queue.failed();
        assert_eq!(queue.take().expect("the newer").status, Status::Stopped);
        queue.acknowledged();
        assert!(queue.is_idle());
    }

    #[test]
    fn an_error_is_sent_before_the_removal_that_follows_it() {
        let mut queue = ReportQueue::default();
        queue.push(report(Status::Error), 1);
        queue.push(report(Status::Deleted), 1);
        assert_eq!(queue.take().expect("the error").status, Status::Error);
        queue.failed();
        assert_eq!(queue.take().expect("the error again").status, Status::Error);
        queue.acknowledged();
        assert_eq!(queue.take().expect("the removal").status, Status::Deleted);
    }

    #[test]
    fn the_end_of_a_run_is_sent_before_the_next_run() {
        let run = |status, second, ended: bool| {
            let at = |second| chrono::DateTime::from_timestamp(second, 0);
            let finished_at = if ended { at(second) } else { None };
            ContainerReport { started_at: at(second), finished_at, ..report(status) }
        };
        let mut queue = ReportQueue::default();
        queue.push(run(Status::Restarting, 1, true), 1);
        queue.push(run(Status::Running, 2, false), 2);
        queue.push(run(Status::Restarting, 2, true), 3);
        let sent = queue.take().expect("the end");
        assert_eq!((sent.status, sent.generation), (Status::Restarting, 1));
        queue.acknowledged();
        let sent = queue.take().expect("the newest");
        assert_eq!((sent.status, sent.generation), (Status::Restarting, 3));
        queue.push(run(Status::Running, 3, false), 4);
        queue.failed();
        assert_eq!(queue.take().expect("the end again").status, Status::Restarting);
        queue.acknowledged();
        assert_eq!(queue.take().expect("the next run").status, Status::Running);
    }

    proptest! {
        #[test]
        fn generations_only_rise_and_the_last_state_is_sent_in_the_end(
            steps in prop::collection::vec((0_u8..5, 0_i64..50), 1..60)
        ) {
            let states = [Status::Created, Status::Running, Status::Stopped, Status::Paused];
            let (mut queue, mut last, mut wanted) = (ReportQueue::default(), 0, None);
            let mut sent = None;
            for (step, now) in steps {
                match step {
                    0 => if let Some(report) = queue.take() {
                        prop_assert!(report.generation >= last);
                        last = report.generation;
                        sent = Some(report.status);
                        queue.acknowledged();
                    },
                    1 => if let Some(report) = queue.take() {
                        prop_assert!(report.generation >= last);
                        last = report.generation;
                        queue.failed();
                    },
                    _ => {
                        let status = states[usize::try_from(now).expect("small") % states.len()];
                        queue.push(report(status), now);
                        wanted = Some(status);
                    }
                }
            }
            while let Some(report) = queue.take() {
                sent = Some(report.status);
                queue.acknowledged();
            }
            prop_assert_eq!(sent, wanted);
        }
    }
}
