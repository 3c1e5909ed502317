//! The last bytes of a stream, by their offsets.
//!
//! ```text
//!   0 ──── dropped ──── start ━━━ on disk ━━━ memory start ━━━━ in memory ━━━━ end
//! ```
//! The bytes are in an unnamed file (memfd), at their offsets, so that they outlive this process. The memory of dropped
//! bytes is freed by a hole in the file. A ring begins without memory, allocates more when it is full, and drops its
//! oldest bytes once it gets no more. With a [`Spill`], it moves the bytes that readers still need to disk.

mod memory;
mod spill;

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::buffer::spare_capacity;

pub use memory::{Charge, Memory};
pub use spill::Spill;

use crate::kept::punch;

/// The first allocation, in bytes. Each ring gets it, also if all memory is in use.
const FIRST: usize = 64 << 10;
/// The memory of dropped bytes is freed in pieces of at least this size.
const HOLE: u64 = 64 << 10;

/// The places of a ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places {
    /// The offset of the oldest byte that is kept.
    pub start: u64,
    /// The offset of the oldest byte in memory.
    pub memory_start: u64,
    /// The offset after the last byte.
    pub end: u64,
}

/// Which bytes readers still need although the memory cannot keep them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    /// None.
    Nothing,
    /// All of them, as long as there is space: there is no reader yet.
    Beginning,
    /// Those from this offset on: the slowest reader has the ones before.
    From(u64),
}

/// A ring of bytes.
#[derive(Debug)]
pub struct Ring {
    file: File,
    /// The offset of the oldest byte that is kept.
    start: u64,
    /// The offset of the oldest byte in memory.
    memory_start: u64,
    /// The offset after the last byte.
    end: u64,
    /// Which bytes must be kept although the memory is full.
    needed: Needed,
    spill: Option<Spill>,
    /// The memory of everything before this offset was freed.
    freed: u64,
    /// How many bytes may be kept with the memory that was taken.
    capacity: usize,
    limit: usize,
    memory: Memory,
}

impl Ring {
    /// Creates an empty ring in an empty file. It grows to `limit` bytes as long as `memory` allows.
    pub const fn new(file: File, limit: usize, memory: Memory) -> Self {
        let needed = Needed::Beginning;
        let (start, memory_start, end, freed, capacity, spill) = (0, 0, 0, 0, 0, None);
        Self { file, start, memory_start, end, needed, spill, freed, capacity, limit, memory }
    }

    /// Moves bytes that are still needed to a file on disk.
    #[must_use]
    pub fn with_spill(mut self, spill: Option<Spill>) -> Self {
        self.spill = spill;
        if let Some(spill) = &mut self.spill {
            let used = usize::try_from(self.memory_start - self.start).unwrap_or_default();
            spill.take_used(used, self.memory_start);
        }
        self
    }

    /// Continues the ring of a former process. It takes the memory that its bytes need in any case.
    pub fn restored(file: File, places: Places, limit: usize, memory: Memory) -> Self {
        let Places { start, memory_start, end } = places;
        let memory_start = memory_start.min(end);
        let kept = usize::try_from(end - memory_start).unwrap_or(usize::MAX);
        let capacity = if kept == 0 { 0 } else { rounded(kept) };
        memory.take_used(capacity);
        let limit = limit.max(capacity);
        let start = start.min(memory_start);
        let mut ring = Self::new(file, limit, memory);
        (ring.start, ring.memory_start, ring.end) = (start, memory_start, end);
        ring.capacity = capacity;
        ring
    }

    /// The places, to continue the ring in another process.
    pub const fn places(&self) -> Places {
        Places { start: self.start, memory_start: self.memory_start, end: self.end }
    }

    /// The file with the bytes.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// The file on disk, if there is one.
    pub fn spill_file(&self) -> Option<&File> {
        self.spill.as_ref().map(Spill::file)
    }

    /// The offset of the oldest byte that is kept.
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The offset of the next byte.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// How many bytes can be kept at present.
    pub const fn capacity(&self) -> u64 {
        self.capacity as u64
    }

    /// Lets the ring grow to this many bytes.
    pub const fn raise_limit(&mut self, limit: usize) {
        if limit > self.limit {
            self.limit = limit;
        }
    }

    /// There is no reader at present: what does not fit is dropped.
    pub const fn nobody_reads(&mut self) {
        if matches!(self.needed, Needed::From(_)) {
            self.needed = Needed::Nothing;
        }
        self.nothing_follows();
    }

    /// Releases the space that was reserved for further bytes.
    pub const fn nothing_follows(&mut self) {
        if let Some(spill) = &mut self.spill {
            spill.keep_reserved(0);
        }
    }

    /// Makes room for `more` bytes, so that pushing them drops nothing at or after `floor`. Returns whether there is
    /// room.
    ///
    /// If no reader is behind, there always is: a process must not stop because of other sessions.
    pub fn reserve(&mut self, more: usize, floor: u64) -> bool {
        self.needed = Needed::From(floor);
        self.nothing_follows();
        let behind = self.end.saturating_sub(floor.max(self.start));
        let Some(needed) = usize::try_from(behind).ok().and_then(|kept| kept.checked_add(more))
        else {
            return false;
        };
        if needed <= self.capacity || (needed <= self.limit && self.grow(needed)) {
            return true;
        }
        let more_memory = self.limit.max(self.capacity);
        if self.capacity < more_memory {
            self.grow(more_memory);
        }
        // All kept bytes count, even those that no reader needs: the range is contiguous.
        let kept = usize::try_from(self.end - self.start).unwrap_or(usize::MAX);
        let spilled = kept.saturating_add(more).saturating_sub(self.capacity);
        let least = needed.saturating_sub(self.capacity);
        let is_spilled = self.spill.as_mut().is_some_and(|spill| {
            let granted = [spilled, least].into_iter().find(|bytes| spill.reserve(*bytes));
            spill.keep_reserved(granted.unwrap_or_default());
            granted.is_some()
        });
        is_spilled || (behind == 0 && self.overdraw(more))
    }

    /// Appends bytes. Drops the oldest ones if there is no room.
    pub fn push(&mut self, bytes: &[u8]) {
        let kept = usize::try_from(self.end - self.memory_start).unwrap_or(usize::MAX);
        let wanted = kept.saturating_add(bytes.len());
        if wanted > self.capacity && !self.grow(wanted.min(self.limit)) && self.capacity == 0 {
            self.overdraw(FIRST);
        }
        let written = self.file.write_all_at(bytes, self.end);
        self.end += bytes.len() as u64;
        let memory_start = match written {
            Ok(()) => self.memory_start.max(self.end.saturating_sub(self.capacity as u64)),
            // The system has no memory.
            Err(_) => self.end,
        };
        if memory_start > self.memory_start {
            self.start =
                if written.is_ok() { self.spill_until(memory_start) } else { memory_start };
            self.memory_start = memory_start;
        }
    }

    /// Moves needed bytes from memory to disk. Returns the offset of the oldest byte that is kept afterwards.
    fn spill_until(&mut self, to: u64) -> u64 {
        let Some(spill) = &mut self.spill else { return to };
        let size = |from: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        let start = match self.needed {
            Needed::From(floor) if floor < to && spill.reserve(size(self.start)) => self.start,
            Needed::From(floor) if floor < to && spill.reserve(size(self.start.max(floor))) => {
                self.start.max(floor)
            }
            Needed::Beginning if spill.reserve(size(self.start)) => self.start,
            Needed::Beginning => {
                self.needed = Needed::Nothing;
                to
            }
            Needed::Nothing | Needed::From(_) => to,
        };
        if start == to || spill.store(&self.file, self.memory_start.max(start), to) {
            start
        } else {
            to
        }
    }

    /// Appends the bytes from an offset on to `out`, at most `limit`. None if the offset is not kept. Returns how many.
    pub fn read(&self, from: u64, limit: usize, out: &mut Vec<u8>) -> usize {
        if from < self.start || from >= self.end {
            return 0;
        }
        let spilled = self.spill.as_ref().filter(|_| from < self.memory_start);
        let (file, end) =
            spilled.map_or((&self.file, self.end), |spill| (spill.file(), self.memory_start));
        let length = usize::try_from(end - from).unwrap_or(usize::MAX).min(limit);
        read_at(file, from, length, out)
    }

    /// Frees the memory of dropped bytes. Must be called only after the record says that they are dropped.
    pub fn free(&mut self) {
        let dropped = self.memory_start;
        if dropped - self.freed >= HOLE && punch(&self.file, self.freed, dropped) {
            self.freed = dropped;
        }
        if let Some(spill) = &mut self.spill {
            spill.free(self.start, self.memory_start);
        }
    }

    /// Allocates memory for at least `needed` bytes, even beyond the shared memory. Returns whether the ring's own
    /// limit allows it.
    fn overdraw(&mut self, needed: usize) -> bool {
        let capacity = rounded(needed).min(self.limit);
        if capacity > self.capacity {
            self.memory.take_used(capacity - self.capacity);
            self.capacity = capacity;
        }
        needed <= self.capacity
    }

    /// Allocates memory for at least `needed` bytes if the ring's limit and the shared memory allow it.
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
