//! Remembers the calls that may only be done once. The bus can deliver a message twice without saying so: if the broker's
//! confirm is lost, the sender publishes it again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// How long a call is remembered after its deadline, because clocks can be set back.
const GRACE: Duration = Duration::from_mins(10);

/// The calls that were begun, until they can no longer be delivered.
#[derive(Debug, Default)]
pub(super) struct BegunCalls(Mutex<HashMap<Uuid, Instant>>);

impl BegunCalls {
    /// Records that a call begins, which expires after `left`. Returns `false` if it has begun before.
    pub(super) fn begin(&self, id: Uuid, left: Duration) -> bool {
        let now = Instant::now();
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        calls.retain(|_, until| *until > now);
        calls.insert(id, now + left + GRACE).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_is_remembered_until_it_can_no_longer_be_delivered() {
        let (calls, id) = (BegunCalls::default(), Uuid::new_v4());
        let left = Duration::from_secs(30);
        assert!(calls.begin(id, left));
        assert!(!calls.begin(id, left));
        assert!(calls.begin(Uuid::new_v4(), left));
        tokio::time::advance(left + GRACE * 2).await;
        assert!(calls.begin(id, left));
        assert_eq!(calls.0.lock().expect("a lock").len(), 1, "the others are forgotten");
    }
}
