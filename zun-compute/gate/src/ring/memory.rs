//! The memory that all rings of the process share.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A number of bytes that rings may still allocate. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory {
    left: Arc<AtomicI64>,
    all: i64,
    /// How often there was too little left.
    denied: Arc<AtomicU64>,
    /// The memory of which this is a part.
    whole: Option<Box<Self>>,
}

impl Memory {
    /// Allows this many bytes in all.
    pub fn of(bytes: usize) -> Self {
        let all = signed(bytes);
        Self { left: Arc::new(AtomicI64::new(all)), all, denied: Arc::default(), whole: None }
    }

    /// Allows this many bytes of the whole. `denied` counts how often there was too little left of them.
    pub fn part_of(whole: Self, bytes: usize, denied: Arc<AtomicU64>) -> Self {
        Self { denied, whole: Some(Box::new(whole)), ..Self::of(bytes) }
    }

    /// How often a ring could not grow because of this limit.
    pub fn denied(&self) -> u64 {
        self.denied.load(Ordering::Relaxed)
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        let own = usize::try_from(self.left.load(Ordering::Relaxed)).unwrap_or_default();
        self.whole.as_ref().map_or(own, |whole| own.min(whole.left()))
    }

    /// How many bytes are in use. They may be more than what is allowed.
    pub fn used(&self) -> u64 {
        let left = self.left.load(Ordering::Relaxed);
        u64::try_from(self.all.saturating_sub(left)).unwrap_or_default()
    }

    /// Whether another part shares these bytes, even if it uses none of them now.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.left) > 1
    }

    pub(super) fn take(&self, bytes: usize) -> bool {
        if self.whole.as_ref().is_some_and(|whole| !whole.take(bytes)) {
            return false;
        }
        let wanted = signed(bytes);
        let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
            (left >= wanted).then(|| left - wanted)
        });
        if taken.is_err() {
            self.denied.fetch_add(1, Ordering::Relaxed);
            if let Some(whole) = &self.whole {
                whole.give_back(bytes);
            }
        }
        taken.is_ok()
    }

    /// Counts memory that is already in use, even if it is more than what is left.
    pub(super) fn take_used(&self, bytes: usize) {
        self.left.fetch_sub(signed(bytes), Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.take_used(bytes);
        }
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.left.fetch_add(signed(bytes), Ordering::Relaxed);
        if let Some(whole) = &self.whole {
            whole.give_back(bytes);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_uses_the_whole_and_no_more_than_its_share() {
        let (whole, denied) = (Memory::of(100), Arc::default());
        let parts =
            [60, 60].map(|bytes| Memory::part_of(whole.clone(), bytes, Arc::clone(&denied)));
        assert!(parts[0].take(50) && !parts[0].take(20));
        assert_eq!((whole.left(), parts[0].left(), parts[1].left()), (50, 10, 50));
        assert!(!parts[1].take(55), "the whole has no more");
        assert_eq!((parts[0].denied(), whole.denied()), (1, 1));
        assert!(parts[1].take(50));
        parts[0].take_used(30);
        assert_eq!((parts[0].used(), parts[1].used(), whole.used()), (80, 50, 130));
        parts[0].give_back(80);
        assert_eq!((parts[0].left(), whole.left()), (50, 50));
    }
}
