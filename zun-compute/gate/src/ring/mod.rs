//! The last bytes of a stream, by their offsets.
//!
//! ```text
//!   0 ──── dropped ──── start ━━━━━━ kept ━━━━━━ end
//! ```
//! The bytes are in a file without a name, at their offsets, so that they outlive this process. What is dropped gives
//! its memory back: the file has a hole there. A ring begins without memory, takes more when it is full, and drops its
//! oldest bytes once it gets no more.

mod memory;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::buffer::spare_capacity;

pub use memory::Memory;

use crate::kept::punch;

/// The first allocation, in bytes.
const FIRST: usize = 64 << 10;
/// Dropped bytes give their memory back in pieces of at least this size.
const HOLE: u64 = 64 << 10;

/// A ring of bytes.
#[derive(Debug)]
pub struct Ring {
    file: File,
    /// The offset of the oldest byte that is kept.
    start: u64,
    /// The offset after the last byte.
    end: u64,
    /// Everything before this offset has given its memory back.
    freed: u64,
    /// How many bytes may be kept with the memory that was taken.
    capacity: usize,
    limit: usize,
    memory: Memory,
}

impl Ring {
    /// Creates an empty ring in an empty file. It grows to `limit` bytes as long as `memory` allows.
    pub const fn new(file: File, limit: usize, memory: Memory) -> Self {
        Self { file, start: 0, end: 0, freed: 0, capacity: 0, limit, memory }
    }

    /// Continues the ring of a former process. It takes the memory that its bytes need in any case.
    pub fn restored(file: File, (start, end): (u64, u64), limit: usize, memory: Memory) -> Self {
        let start = start.min(end);
        let kept = usize::try_from(end - start).unwrap_or(usize::MAX);
        let capacity = if kept == 0 { 0 } else { rounded(kept) };
        memory.take_used(capacity);
        Self { file, start, end, freed: 0, capacity, limit: limit.max(capacity), memory }
    }

    /// The file with the bytes.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// The offset of the oldest byte that is kept.
    pub const fn start(&self) -> u64 {
        self.start
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
        let behind = self.end.saturating_sub(floor.max(self.start));
        let Some(needed) = usize::try_from(behind).ok().and_then(|kept| kept.checked_add(more))
        else {
            return false;
        };
        needed <= self.limit && (needed <= self.capacity || self.grow(needed))
    }

    /// Appends bytes. Drops the oldest ones if the ring cannot grow.
    pub fn push(&mut self, bytes: &[u8]) {
        let kept = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        let wanted = kept.saturating_add(bytes.len());
        if wanted > self.capacity && !self.grow(wanted.min(self.limit)) && self.capacity == 0 {
            self.grow(1);
        }
        let skipped = bytes.len().saturating_sub(self.capacity);
        let at = self.end + skipped as u64;
        let written = self.file.write_all_at(bytes.get(skipped..).unwrap_or_default(), at);
        self.end += bytes.len() as u64;
        self.start = match written {
            Ok(()) => self.start.max(self.end.saturating_sub(self.capacity as u64)),
            // The system has no memory.
            Err(_) => self.end,
        };
    }

    /// Appends the bytes from an offset on to `out`, at most `limit`. None if the offset is not kept. Returns how many.
    pub fn read(&self, from: u64, limit: usize, out: &mut Vec<u8>) -> usize {
        if from < self.start || from >= self.end {
            return 0;
        }
        let length = usize::try_from(self.end - from).unwrap_or(usize::MAX).min(limit);
        read_at(&self.file, from, length, out)
    }

    /// Gives the memory of dropped bytes back. To be called when it is recorded that they are dropped.
    pub fn free(&mut self) {
        if self.start - self.freed >= HOLE && punch(&self.file, self.freed, self.start) {
            self.freed = self.start;
        }
    }

    /// Takes memory for at least `needed` bytes if limit and memory allow it.
    fn grow(&mut self, needed: usize) -> bool {
        let capacity = rounded(needed).min(self.limit);
        if capacity < needed || capacity <= self.capacity {
            return false;
        }
        let granted = self.memory.take(capacity - self.capacity);
        if granted {
            self.capacity = capacity;
        }
        granted
    }
}

/// Appends `length` bytes of a file to `out`. Returns how many there were.
pub(crate) fn read_at(file: &File, mut from: u64, length: usize, out: &mut Vec<u8>) -> usize {
    let (before, wanted) = (out.len(), out.len().saturating_add(length));
    out.reserve_exact(length);
    while out.len() < wanted {
        match rustix::io::pread(file, spare_capacity(out), from) {
            Ok(read) if read > 0 => from += read as u64,
            Err(rustix::io::Errno::INTR) => {}
            Ok(_) | Err(_) => break,
        }
    }
    // There may have been more room.
    out.truncate(wanted);
    out.len() - before
}

fn rounded(needed: usize) -> usize {
    needed.checked_next_power_of_two().unwrap_or(needed).max(FIRST)
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.memory.give_back(self.capacity);
    }
}

#[cfg(test)]
mod tests;
