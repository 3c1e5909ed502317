//! The reports of one container: waiting, in flight and acknowledged.
//!
//! ```text
//!  push ──> next (replaced by a newer one) ──take──> in flight ──acknowledged──> last
//!             ^                                          │
//!             └───────── unless there is a newer one ────┴── failed
//! ```

use zun_common::rpc::report::ContainerReport;

/// The unacknowledged reports of one container, and the last acknowledged one.
#[derive(Debug, Default)]
pub(super) struct ReportQueue {
    next: Option<ContainerReport>,
    in_flight: Option<ContainerReport>,
    last: Option<ContainerReport>,
    generation: i64,
    /// Whether the report in flight is of an earlier epoch.
    is_outdated: bool,
}

impl ReportQueue {
    /// Adds a report, which replaces a waiting one. Drops a report that changes nothing.
    pub(super) fn push(&mut self, report: ContainerReport, now: i64) {
        if self.newest().is_some_and(|newest| changes_nothing(newest, &report)) {
            return;
        }
        // A report of an earlier epoch does not count, because zun-api may not accept it.
        let in_flight = self.in_flight.as_ref().filter(|_| !self.is_outdated);
        let sent = in_flight.or(self.last.as_ref());
        if sent.is_some_and(|sent| changes_nothing(sent, &report)) {
            self.next = None;
            return;
        }
        self.next = Some(self.stamp(report, now));
    }

    /// The next report to send, unless one is in flight.
    pub(super) fn take(&mut self) -> Option<ContainerReport> {
        if self.in_flight.is_some() {
            return None;
        }
        self.in_flight = self.next.take();
        self.in_flight.clone()
    }

    /// zun-api has stored the report in flight. Returns it, unless it is of an earlier epoch.
    pub(super) fn acknowledged(&mut self) -> Option<&ContainerReport> {
        let report = self.in_flight.take()?;
        if std::mem::take(&mut self.is_outdated) {
            return None;
        }
        self.last = Some(report);
        self.last.as_ref()
    }

    /// The report in flight may have arrived or not.
    pub(super) fn failed(&mut self) {
        let Some(late) = self.in_flight.take() else { return };
        self.last = None;
        if !std::mem::take(&mut self.is_outdated) {
            self.next.get_or_insert(late);
        }
    }

    /// Drops all reports, because an epoch begins.
    pub(super) fn clear(&mut self) {
        (self.next, self.last) = (None, None);
        self.is_outdated = self.in_flight.is_some();
    }

    /// zun-api has lost the last report: the next one counts as new.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    /// Whether zun-api has acknowledged a report in this epoch.
    pub(super) const fn was_acknowledged(&self) -> bool {
        self.last.is_some()
    }

    pub(super) const fn is_ready(&self) -> bool {
        self.next.is_some() && self.in_flight.is_none()
    }

    /// Whether everything is acknowledged.
    pub(super) const fn is_idle(&self) -> bool {
        self.next.is_none() && self.in_flight.is_none()
    }

    /// The last report that was added.
    pub(super) fn newest(&self) -> Option<&ContainerReport> {
        let in_flight = self.in_flight.as_ref().filter(|_| !self.is_outdated);
        self.next.as_ref().or(in_flight).or(self.last.as_ref())
    }

    fn stamp(&mut self, mut report: ContainerReport, now: i64) -> ContainerReport {
        self.generation = now.max(self.generation.saturating_add(1));
        report.generation = self.generation;
        report
    }
}

/// Whether both reports say the same. Later reports do not contain runs that zun-api has acknowledged.
fn changes_nothing(one: &ContainerReport, other: &ContainerReport) -> bool {
    let runs = if other.runs.is_empty() { one.runs.clone() } else { other.runs.clone() };
    *one == ContainerReport { generation: one.generation, runs, ..other.clone() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zun_common::id::ContainerId;
    use zun_common::rpc::report::LiveState;
    use zun_common::status::Status;

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
            runs: Vec::new(),
            live: LiveState::default(),
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
        assert!(queue.acknowledged().is_some());
        assert!(queue.take().is_none());
    }

    #[test]
    fn an_acknowledged_report_is_not_sent_again() {
        let mut queue = ReportQueue::default();
        queue.push(report(Status::Running), 1);
        queue.take().expect("one");
        assert!(queue.acknowledged().is_some());
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
        assert!(queue.acknowledged().is_some());
        assert!(queue.is_idle());
    }

    #[test]
    fn reports_of_an_earlier_epoch_are_dropped() {
        for is_stored in [true, false] {
            let mut queue = ReportQueue::default();
            queue.push(report(Status::Running), 1);
            queue.take().expect("one");
            queue.push(report(Status::Stopped), 2);
            queue.clear();
            assert!(queue.newest().is_none());
            if is_stored {
                assert!(queue.acknowledged().is_none());
            } else {
                queue.failed();
            }
            assert!(queue.is_idle());
            queue.push(report(Status::Stopped), 3);
            assert_eq!(queue.take().expect("the state in this epoch").status, Status::Stopped);
        }
    }

    #[test]
    fn a_state_is_reported_in_an_epoch_although_an_earlier_report_of_it_is_in_flight() {
        for is_stored in [true, false] {
            let mut queue = ReportQueue::default();
            queue.push(report(Status::Running), 1);
            queue.take().expect("one");
            queue.clear();
            queue.push(report(Status::Running), 2);
            assert!(queue.take().is_none(), "the earlier one is in flight");
            if is_stored {
                assert!(queue.acknowledged().is_none());
            } else {
                queue.failed();
            }
            assert_eq!(queue.take().expect("the state in this epoch").status, Status::Running);
        }
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
                        assert!(queue.acknowledged().is_some());
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
                assert!(queue.acknowledged().is_some());
            }
            prop_assert_eq!(sent, wanted);
        }
    }
}
