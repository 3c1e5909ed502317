//! Wants of memory that Docker tells by an event alone: where the event comes behind the end of the process that it
//! explains, what Docker shows of the container never says so.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use zun_common::id::EngineId;

/// How long before the end of a process its event may be, and how long behind it. All times are the engine's.
const BEFORE: TimeDelta = TimeDelta::seconds(1);
const BEHIND: TimeDelta = TimeDelta::seconds(5);
/// So many containers are remembered, the newest.
const LARGEST: usize = 4096;

/// The last one of each container. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct OomEvents(Arc<Mutex<HashMap<EngineId, DateTime<Utc>>>>);

impl OomEvents {
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

    /// Whether it is why a process that ran from one time to the other was killed.
    pub(super) fn explain(
        &self,
        engine: &EngineId,
        (started_at, finished_at): (Option<DateTime<Utc>>, DateTime<Utc>),
    ) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(engine).is_some_and(|at| {
            started_at.is_none_or(|started| started <= *at)
                && finished_at - BEFORE <= *at
                && *at <= finished_at + BEHIND
        })
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
        let (oom_events, now) = (OomEvents::default(), Utc::now());
        let seconds = |count: i64| now + TimeDelta::seconds(count);
        let explains = |number: u64, started: i64, ended: i64| {
            oom_events.explain(&engine(number), (Some(seconds(started)), seconds(ended)))
        };
        oom_events.note(engine(1), now);
        assert!(explains(1, -9, -1) && explains(1, -9, 0) && explains(1, -9, 1));
        assert!(oom_events.explain(&engine(1), (None, now)));
        // Another run, a later death, another container.
        assert!(
            !explains(1, 1, 1)
                && !explains(1, -9, 3)
                && !explains(1, -9, -6)
                && !explains(2, -9, 0)
        );
        oom_events.forget(&engine(1));
        assert!(!explains(1, -9, 0));
    }

    #[test]
    fn a_bounded_number_is_remembered_the_newest() {
        let (oom_events, now) = (OomEvents::default(), Utc::now());
        for number in 0..=4096 {
            let at = now + TimeDelta::milliseconds(i64::try_from(number).expect("small"));
            oom_events.note(engine(number), at);
        }
        let explains = |number: u64| oom_events.explain(&engine(number), (None, now));
        assert!(!explains(0) && explains(1) && explains(4096));
    }
}
