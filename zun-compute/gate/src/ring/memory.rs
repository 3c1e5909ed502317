//! The memory that all rings of the process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A number of bytes that rings may still allocate. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory(Arc<AtomicI64>);

impl Memory {
    /// Allows this many bytes in all.
    pub fn of(bytes: usize) -> Self {
        Self(Arc::new(AtomicI64::new(signed(bytes))))
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        usize::try_from(self.0.load(Ordering::Relaxed)).unwrap_or_default()
    }

    pub(super) fn take(&self, bytes: usize) -> bool {
        let bytes = signed(bytes);
        let taken = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left >= bytes).then(|| left - bytes)
        });
        taken.is_ok()
    }

    /// Takes memory that is in use already, even if it is more than what is left.
    pub(super) fn take_used(&self, bytes: usize) {
        self.0.fetch_sub(signed(bytes), Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.0.fetch_add(signed(bytes), Ordering::Relaxed);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
