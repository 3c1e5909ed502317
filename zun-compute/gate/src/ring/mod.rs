//! The last bytes of a stream, by their offsets.
//!
//! ```text
//!   0 ──── dropped ──── start ━━━━━━ kept ━━━━━━ end
//! ```
//! A ring begins without memory, doubles when it is full, and overwrites its oldest bytes once it cannot grow.

mod memory;

pub use memory::Memory;

/// The first allocation, in bytes.
const FIRST: usize = 64 << 10;

/// A ring of bytes.
#[derive(Debug)]
pub struct Ring {
    bytes: Vec<u8>,
    /// The offset after the last byte.
    end: u64,
    /// How many bytes are kept.
    kept: usize,
    limit: usize,
    memory: Memory,
}

impl Ring {
    /// Creates an empty ring that grows to `limit` bytes as long as `memory` allows.
    pub const fn new(limit: usize, memory: Memory) -> Self {
        Self { bytes: Vec::new(), end: 0, kept: 0, limit, memory }
    }

    /// The offset of the oldest byte that is kept.
    pub const fn start(&self) -> u64 {
        self.end.saturating_sub(self.kept as u64)
    }

    /// The offset of the next byte.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Lets the ring grow to this many bytes.
    pub const fn raise_limit(&mut self, limit: usize) {
        if limit > self.limit {
            self.limit = limit;
        }
    }

    /// Makes room for `more` bytes, so that pushing them drops nothing at or after `floor`. Returns whether there is
    /// room.
    pub fn reserve(&mut self, more: usize, floor: u64) -> bool {
        let behind = self.end.saturating_sub(floor.max(self.start()));
        let Some(needed) = usize::try_from(behind).ok().and_then(|kept| kept.checked_add(more))
        else {
            return false;
        };
        needed <= self.limit && (needed <= self.bytes.len() || self.grow(needed))
    }

    /// Appends bytes. Drops the oldest ones if the ring cannot grow.
    pub fn push(&mut self, bytes: &[u8]) {
        let wanted = self.kept.saturating_add(bytes.len());
        if wanted > self.bytes.len()
            && !self.grow(wanted.min(self.limit))
            && self.bytes.is_empty()
            && !self.grow(1)
        {
            // Without any memory, only the offsets advance.
            self.end += bytes.len() as u64;
            return;
        }
        let skipped = bytes.len().saturating_sub(self.bytes.len());
        self.end += skipped as u64;
        let bytes = bytes.get(skipped..).unwrap_or_default();
        let at = self.position(self.end);
        let (first, second) = bytes.split_at(bytes.len().min(self.bytes.len() - at));
        self.write(at, first);
        self.write(0, second);
        self.end += bytes.len() as u64;
        self.kept = wanted.min(self.bytes.len());
    }

    /// The bytes from an offset on, at most `limit`, in two parts. Empty if the offset is not kept.
    pub fn read(&self, from: u64, limit: usize) -> (&[u8], &[u8]) {
        if from < self.start() || from >= self.end {
            return (&[], &[]);
        }
        let length = usize::try_from(self.end - from).unwrap_or(usize::MAX).min(limit);
        let at = self.position(from);
        let first = length.min(self.bytes.len() - at);
        let part = |from: usize, to: usize| self.bytes.get(from..to).unwrap_or_default();
        (part(at, at + first), part(0, length - first))
    }

    fn position(&self, offset: u64) -> usize {
        let capacity = self.bytes.len().max(1) as u64;
        usize::try_from(offset % capacity).unwrap_or_default()
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Grows to at least `needed` bytes if limit and memory allow it.
    fn grow(&mut self, needed: usize) -> bool {
        let capacity = needed.checked_next_power_of_two().unwrap_or(needed).max(FIRST);
        let capacity = capacity.min(self.limit);
        if capacity < needed || capacity <= self.bytes.len() {
            return false;
        }
        if !self.memory.take(capacity - self.bytes.len()) {
            return false;
        }
        let mut grown = Self {
            bytes: vec![0; capacity],
            end: self.start(),
            kept: 0,
            limit: self.limit,
            memory: self.memory.clone(),
        };
        let (first, second) = self.read(self.start(), usize::MAX);
        grown.push(first);
        grown.push(second);
        self.bytes = std::mem::take(&mut grown.bytes);
        self.kept = grown.kept;
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.memory.give_back(self.bytes.len());
    }
}

#[cfg(test)]
mod tests;
