//! Records a history while many clients work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use zun_common::id::ContainerId;

use super::{Answer, Call, Entry};

/// The history of a test, on one monotonic clock.
#[derive(Debug)]
pub struct Recorder {
    start: Instant,
    entries: Mutex<Vec<Entry>>,
}

/// A request that was sent.
#[derive(Debug)]
pub struct Open {
    client: usize,
    key: Option<String>,
    call: Call,
    called: Duration,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { start: Instant::now(), entries: Mutex::default() }
    }
}

impl Recorder {
    /// Returns the time since the start.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Notes that a client is about to send a request.
    pub fn called(&self, client: usize, key: Option<String>, call: Call) -> Open {
        Open { client, key, call, called: self.now() }
    }

    /// Notes the answer.
    pub fn answered(&self, open: Open, answer: Answer) {
        let Open { client, key, call, called } = open;
        let entry = Entry { client, key, call, called, answered: self.now(), answer };
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Returns the history. `created` has the containers of creates without an answer, by the key of the create.
    pub fn entries(&self, created: &BTreeMap<String, ContainerId>) -> Vec<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for entry in &mut entries {
            entry.learn_created(created);
        }
        entries
    }
}
