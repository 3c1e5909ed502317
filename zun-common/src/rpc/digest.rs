//! Digests of what agents have reported. With them, zun-api and an agent notice that one of them has lost a report, without
//! comparing all containers.
//!
//! Limits are not part of it: operations of the ledger set them, and no report changes them.

use serde::{Deserialize, Serialize};

use crate::id::ContainerId;

/// Bits of each hash. The sum of the hashes of 2^24 containers fits into 64 bits.
const BITS: u32 = 40;

/// A hash of what an agent has reported of a container: the number of its newest run, its status, and the task that is in
/// progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReportHash(u64);

impl ReportHash {
    /// Returns the hash (FNV-1a). It is the same on all machines.
    pub fn of(container: ContainerId, run: i64, (status, task): (&str, Option<&str>)) -> Self {
        let mut text = format!("{container} {run} {status}");
        // Older agents and zun-api hash no task, and agree while there is none.
        if let Some(task) = task {
            text.push(' ');
            text.push_str(task);
        }
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self((hash ^ (hash >> BITS)) & ((1 << BITS) - 1))
    }
}

/// The sum of the hashes of a host's containers. Deleted ones do not count, nor those that were never reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(u64);

impl Digest {
    /// The sum of the hashes that differ. It does not depend on what both sides have in common, so it stays the same while
    /// other containers change and their reports arrive.
    pub const fn difference(self, other: Self) -> u64 {
        self.0.wrapping_sub(other.0)
    }
}

impl FromIterator<ReportHash> for Digest {
    fn from_iter<T: IntoIterator<Item = ReportHash>>(hashes: T) -> Self {
        Self(hashes.into_iter().fold(0, |sum, hash| sum.wrapping_add(hash.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_every_fact_and_not_on_the_order() {
        let [one, other] = [(); 2].map(|()| ContainerId::random());
        let hash = |container, run, status| ReportHash::of(container, run, (status, None));
        let digest = |hashes: &[ReportHash]| hashes.iter().copied().collect::<Digest>();
        let both = [hash(one, 1, "Running"), hash(other, 2, "Stopped")];
        assert_eq!(digest(&both), digest(&[both[1], both[0]]));
        for changed in [hash(one, 2, "Running"), hash(one, 1, "Stopped"), hash(other, 1, "Running")]
        {
            assert_ne!(digest(&both), digest(&[changed, both[1]]));
        }
        let stopping = ReportHash::of(one, 1, ("Running", Some("container_stopping")));
        assert_ne!(digest(&both), digest(&[stopping, both[1]]));
        assert!(both.iter().all(|hash| hash.0 < 1 << BITS));
    }

    #[test]
    fn a_difference_does_not_depend_on_what_both_have() {
        let [lost, other] = [(); 2].map(|()| ContainerId::random());
        let differences: Vec<u64> = [(1, "Running"), (1, "Restarting"), (2, "Running")]
            .map(|(run, status)| {
                let common = ReportHash::of(other, run, (status, None));
                let with = |status| -> Digest {
                    [ReportHash::of(lost, 1, (status, None)), common].into_iter().collect()
                };
                with("Running").difference(with("Stopped"))
            })
            .to_vec();
        assert!(differences.iter().all(|one| *one == differences[0] && *one != 0));
    }

    #[test]
    fn a_hash_is_the_same_in_every_build() {
        let id = "7b0c8a3e-5f5e-4c5a-9d29-6e1f6f2f3f11".parse().expect("an id");
        let wire = serde_json::to_string(&ReportHash::of(id, 3, ("Running", None))).expect("JSON");
        assert_eq!(wire, "234086663682");
    }
}
