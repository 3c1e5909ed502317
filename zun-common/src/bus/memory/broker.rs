//! The state that all connections to one in-memory broker share.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::queue::Queue;
use crate::bus::transport::Route;

#[derive(Debug, Default)]
pub(super) struct Broker {
    queues: Mutex<HashMap<Route, Arc<Queue>>>,
}

impl Broker {
    /// Returns the queue if a consumer has declared it.
    pub(super) fn queue(&self, route: &Route) -> Option<Arc<Queue>> {
        lock(&self.queues).get(route).map(Arc::clone)
    }

    /// Returns the queue and creates it if necessary.
    pub(super) fn declare(&self, route: &Route) -> Arc<Queue> {
        let mut queues = lock(&self.queues);
        let queue = queues.entry(route.clone()).or_default();
        Arc::clone(queue)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
