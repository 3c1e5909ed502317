//! The state that all connections to one in-memory broker share.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::queue::Queue;
use crate::bus::transport::Route;

/// Maximum number of dead letters. The oldest is dropped first.
const DEAD_LETTERS: usize = 1_000;

/// A dead-lettered message, for inspection.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// The queue that it came from.
    pub route: Route,
    /// The message.
    pub body: Bytes,
}

#[derive(Debug, Default)]
pub(super) struct Broker {
    queues: Mutex<HashMap<Route, Arc<Queue>>>,
    dead: Mutex<VecDeque<DeadLetter>>,
}

impl Broker {
    /// Returns the queue if a consumer has declared it.
    pub(super) fn queue(&self, route: &Route) -> Option<Arc<Queue>> {
        lock(&self.queues).get(route).map(Arc::clone)
    }

    /// Returns the queue and creates it if necessary.
    pub(super) fn declare(&self, route: &Route) -> Arc<Queue> {
        let mut queues = lock(&self.queues);
        let queue =
            queues.entry(route.clone()).or_insert_with(|| Arc::new(Queue::new(route.clone())));
        Arc::clone(queue)
    }

    pub(super) fn dead_letter(&self, letter: DeadLetter) {
        let mut dead = lock(&self.dead);
        if dead.len() >= DEAD_LETTERS {
            dead.pop_front();
        }
        dead.push_back(letter);
    }

    pub(super) fn dead_letters(&self) -> Vec<DeadLetter> {
        lock(&self.dead).iter().cloned().collect()
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
