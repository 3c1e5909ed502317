//! The memory that all rings of the process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A number of bytes that rings may still allocate. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    left: Arc<AtomicI64>,
    all: i64,
}

impl Memory {
    /// Allows this many bytes in all.
    pub fn of(bytes: usize) -> Self {
        let all = signed(bytes);
        Self { left: Arc::new(AtomicI64::new(all)), all }
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        usize::try_from(self.left.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// How many bytes are in use. They may be more than what is allowed.
    pub fn used(&self) -> u64 {
        let left = self.left.load(Ordering::Relaxed);
        u64::try_from(self.all.saturating_sub(left)).unwrap_or_default()
    }

    pub(super) fn take(&self, bytes: usize) -> bool {
        let bytes = signed(bytes);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left >= bytes).then(|| left - bytes)
        });
        taken.is_ok()
    }

    /// Takes memory that is in use already, even if it is more than what is left.
    pub(super) fn take_used(&self, bytes: usize) {
        self.left.fetch_sub(signed(bytes), Ordering::Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.left.fetch_add(signed(bytes), Ordering::Relaxed);
    }
}

/// Bytes in use outside of rings, which count although nothing limits them here.
#[derive(Debug)]
pub struct Charge {
    memory: Memory,
    bytes: usize,
}

impl Charge {
    /// Charges nothing yet.
    pub const fn on(memory: Memory) -> Self {
        Self { memory, bytes: 0 }
    }

    /// This many bytes are in use now.
    pub fn set(&mut self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes > self.bytes {
            self.memory.take_used(bytes - self.bytes);
        } else {
            self.memory.give_back(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
