//! Compares digests with zun-api, to find reports that either side has lost. Pure.
//!
//! A report on its way makes the digests differ for a moment, so they must differ twice in the same way, or many times in a
//! row: on a busy host, some report is always on its way.

use zun_common::rpc::digest::Digest;

/// The number of heartbeats between two digests, while they are equal. At one every 5 seconds, these are 30 seconds.
const EVERY: u32 = 6;
/// The largest number of heartbeats between two attempts to find the containers that differ. At one every 5 seconds,
/// these are 10 minutes.
const LONGEST: u32 = 120;

/// The number of comparisons in a row that differ, each in another way, after which the containers that differ are found.
const MANY: u32 = 12;

/// The state of the comparison.
#[derive(Debug)]
pub(super) struct Comparison {
    /// The heartbeats before the next digest.
    wait: u32,
    /// The heartbeats to wait after the next attempt.
    pause: u32,
    /// The difference that the last comparison found.
    differed: Option<u64>,
    /// The number of comparisons in a row that found one.
    in_a_row: u32,
}

impl Comparison {
    pub(super) const fn new() -> Self {
        Self { wait: 0, pause: EVERY, differed: None, in_a_row: 0 }
    }

    /// Whether the next heartbeat has a digest.
    pub(super) const fn is_due(&mut self) -> bool {
        let is_due = self.wait == 0;
        self.wait = self.wait.saturating_sub(1);
        is_due
    }

    /// Applies the answer to a digest. Returns whether the containers that differ must be found.
    pub(super) fn compare(&mut self, own: Digest, theirs: Digest) -> bool {
        if own == theirs {
            *self = Self { wait: EVERY - 1, ..Self::new() };
            return false;
        }
        let difference = Some(own.difference(theirs));
        self.in_a_row += 1;
        if self.differed != difference && self.in_a_row < MANY {
            self.differed = difference;
            return false;
        }
        (self.differed, self.in_a_row) = (None, 0);
        self.wait = self.pause - 1;
        self.pause = (self.pause * 2).min(LONGEST);
        true
    }
}

#[cfg(test)]
mod tests {
    use zun_common::id::ContainerId;
    use zun_common::rpc::digest::ReportHash;

    use super::*;

    fn digest() -> Digest {
        [ReportHash::of(ContainerId::random(), 1, ("Running", None))].into_iter().collect()
    }

    fn heartbeats_until_due(comparison: &mut Comparison) -> u32 {
        (1..=LONGEST).find(|_| comparison.is_due()).expect("a heartbeat")
    }

    #[test]
    fn equal_digests_are_compared_at_every_sixth_heartbeat() {
        let (mut comparison, same) = (Comparison::new(), digest());
        assert_eq!(heartbeats_until_due(&mut comparison), 1);
        for _ in 0..3 {
            assert!(!comparison.compare(same, same));
            assert_eq!(heartbeats_until_due(&mut comparison), EVERY);
        }
    }

    #[test]
    fn a_difference_that_stays_is_found_among_containers_that_change() {
        let (mut comparison, own) = (Comparison::new(), digest());
        for _ in 0..5 {
            assert!(!comparison.compare(own, digest()), "it changes");
            assert_eq!(heartbeats_until_due(&mut comparison), 1);
        }
        let lost = ContainerId::random();
        let [first, second] = ["Running", "Restarting"].map(|status| {
            let other = ReportHash::of(ContainerId::random(), 1, (status, None));
            ["Running", "Unknown"].map(|of_lost| -> Digest {
                [other, ReportHash::of(lost, 1, (of_lost, None))].into_iter().collect()
            })
        });
        assert!(!comparison.compare(first[0], first[1]));
        assert!(comparison.compare(second[0], second[1]));
    }

    #[test]
    fn a_difference_is_found_although_reports_are_always_on_their_way() {
        let mut comparison = Comparison::new();
        for round in 1..=MANY {
            assert_eq!(comparison.compare(digest(), digest()), round == MANY, "{round}");
        }
        assert_eq!(heartbeats_until_due(&mut comparison), EVERY);
    }

    #[test]
    fn a_difference_that_cannot_be_mended_is_looked_at_less_and_less_often() {
        let (mut comparison, own, theirs) = (Comparison::new(), digest(), digest());
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert!(!comparison.compare(own, theirs));
            assert!(comparison.compare(own, theirs));
            pauses.push(heartbeats_until_due(&mut comparison));
        }
        assert_eq!(pauses, [6, 12, 24, 48, 96, 120]);
    }
}
