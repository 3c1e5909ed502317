//! Acceptance is one at a time for a container and in the order of arrival, although it waits for the
//! engine in between.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use zun_common::id::ContainerId;

/// The gates that somebody passes or waits at.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<ContainerId, Arc<Turn<()>>>>);

/// A turn at a container's gate.
#[derive(Debug)]
pub(super) struct Pass<'a> {
    gates: &'a Gates,
    container: ContainerId,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Gates {
    pub(super) async fn pass(&self, container: ContainerId) -> Pass<'_> {
        let gate = {
            let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(gates.entry(container).or_default())
        };
        let mut pass = Pass { gates: self, container, turn: None };
        pass.turn = Some(gate.lock_owned().await);
        pass
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        drop(self.turn.take());
        let mut gates = self.gates.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.get(&self.container).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(&self.container);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_gate_is_passed_one_at_a_time_and_is_gone_when_nobody_waits() {
        let (gates, container) = (Gates::default(), ContainerId::random());
        let first = gates.pass(container).await;
        let waiting = gates.pass(container);
        tokio::pin!(waiting);
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(first);
        drop(waiting.await);
        assert!(gates.0.lock().expect("a lock").is_empty());
    }
}
