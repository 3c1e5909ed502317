//! Wants of memory that Docker tells by an event alone: where the event comes behind the end of the process that it
//! explains, what Docker shows of the container never says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use zun_common::id::EngineId;

/// How far from the end of a process its event may be. Both times are the engine's.
const NEAR: TimeDelta = TimeDelta::seconds(5);
/// So many containers are remembered, the newest.
const LARGEST: usize = 4096;

/// The last one of each container. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Shortages(Arc<Mutex<HashMap<EngineId, DateTime<Utc>>>>);

impl Shortages {
    /// A container had too little at this time.
    pub(super) fn note(&self, engine: EngineId, at: DateTime<Utc>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= LARGEST
            && let Some(oldest) = held.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone())
        {
            held.remove(&oldest);
        }
        held.insert(engine, at);
    }

    /// It is gone.
    pub(super) fn forget(&self, engine: &EngineId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
    }

    /// Whether it is why a process was killed at this time.
    pub(super) fn explain(&self, engine: &EngineId, finished_at: DateTime<Utc>) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(engine).is_some_and(|at| (finished_at - *at).abs() <= NEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(number: u64) -> EngineId {
        format!("{number:064x}").parse().expect("an id")
    }

    #[test]
    fn only_the_end_beside_a_shortage_is_explained_by_it() {
        let (shortages, now) = (Shortages::default(), Utc::now());
        shortages.note(engine(1), now);
        assert!(shortages.explain(&engine(1), now - TimeDelta::seconds(1)));
        assert!(shortages.explain(&engine(1), now + TimeDelta::seconds(1)));
        assert!(!shortages.explain(&engine(1), now + TimeDelta::minutes(1)));
        assert!(!shortages.explain(&engine(2), now));
        shortages.forget(&engine(1));
        assert!(!shortages.explain(&engine(1), now));
    }

    #[test]
    fn a_bounded_number_is_remembered_the_newest() {
        let (shortages, now) = (Shortages::default(), Utc::now());
        for number in 0..=4096 {
            let at = now + TimeDelta::milliseconds(i64::try_from(number).expect("small"));
            shortages.note(engine(number), at);
        }
        assert!(!shortages.explain(&engine(0), now));
        assert!(shortages.explain(&engine(1), now) && shortages.explain(&engine(4096), now));
    }
}
