//! Remembers Docker's out-of-memory events. If the event arrives after the process has exited, an inspection never
//! shows that the process was out of memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use zun_common::id::EngineId;

/// How long before or after the exit of a process its event can occur. All times are Docker's.
const BEFORE: TimeDelta = TimeDelta::seconds(1);
const AFTER: TimeDelta = TimeDelta::seconds(5);
/// The maximum number of containers to remember.
const MAX_CONTAINERS: usize = 4096;

/// The last out-of-memory event of each container. Clones share the events.
#[derive(Debug, Clone, Default)]
pub(super) struct OomEvents(Arc<Mutex<HashMap<EngineId, DateTime<Utc>>>>);

impl OomEvents {
    /// Records an event of a container. If there are too many, the oldest is dropped.
    pub(super) fn note(&self, engine: EngineId, at: DateTime<Utc>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MAX_CONTAINERS
            && let Some(oldest) = held.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone())
        {
            held.remove(&oldest);
        }
        held.insert(engine, at);
    }

    /// Forgets a container that was removed.
    pub(super) fn forget(&self, engine: &EngineId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(engine);
    }

    /// Whether an event explains why a process that ran between these times was killed.
    pub(super) fn explain(
        &self,
        engine: &EngineId,
        (started_at, finished_at): (Option<DateTime<Utc>>, DateTime<Utc>),
    ) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(engine).is_some_and(|at| {
            started_at.is_none_or(|started| started <= *at)
                && finished_at - BEFORE <= *at
                && *at <= finished_at + AFTER
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
    fn an_event_explains_only_an_exit_close_to_it() {
        let (oom_events, now) = (OomEvents::default(), Utc::now());
        let seconds = |count: i64| now + TimeDelta::seconds(count);
        let explains = |number: u64, started: i64, ended: i64| {
            oom_events.explain(&engine(number), (Some(seconds(started)), seconds(ended)))
        };
        oom_events.note(engine(1), now);
        assert!(explains(1, -9, -1) && explains(1, -9, 0) && explains(1, -9, 1));
        assert!(oom_events.explain(&engine(1), (None, now)));
        // Another run, a later exit, another container.
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
    fn only_the_newest_events_are_remembered() {
        let (oom_events, now) = (OomEvents::default(), Utc::now());
        for number in 0..=4096 {
            let at = now + TimeDelta::milliseconds(i64::try_from(number).expect("small"));
            oom_events.note(engine(number), at);
        }
        let explains = |number: u64| oom_events.explain(&engine(number), (None, now));
        assert!(!explains(0) && explains(1) && explains(4096));
    }
}
