//! The memory that all rings of the process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of bytes that rings may still allocate. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory(Arc<AtomicUsize>);

impl Memory {
    /// Allows this many bytes in all.
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn take(&self, bytes: usize) -> bool {
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.is_ok()
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}
