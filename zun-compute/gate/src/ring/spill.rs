//! A file on disk for what a ring cannot keep in memory while somebody still needs it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use super::{HOLE, Memory, read_at};
use crate::kept::punch;

/// Space is reserved in pieces of this size, in bytes.
const STEP: usize = 1 << 20;
/// The most bytes that are copied at once.
const PIECE: usize = 64 << 10;

/// The unlinked file: the kernel removes it when its last descriptor is closed.
#[derive(Debug)]
pub struct Spill {
    file: File,
    limit: usize,
    space: Memory,
    /// How much of the space is reserved.
    taken: usize,
    /// How much of it stays reserved: for the stored bytes, and for those that are about to arrive.
    minimum: usize,
    /// The offset after the last byte that was stored.
    end: u64,
    /// The space of everything before this offset was freed.
    freed: u64,
}

impl Spill {
    /// Creates a file in this directory.
    pub fn create(directory: &Path) -> io::Result<File> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(open(directory, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// Uses a file for at most `limit` bytes, as long as there is space.
    pub const fn new(file: File, limit: usize, space: Memory) -> Self {
        Self { file, limit, space, taken: 0, minimum: 0, end: 0, freed: 0 }
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Takes the space of a former process's file, whose last byte is before `end`.
    pub(super) fn take_used(&mut self, bytes: usize, end: u64) {
        self.end = end;
        self.space.take_used(bytes);
        self.taken += bytes;
    }

    /// Reserves space, so that `bytes` are reserved in total. Returns whether there is enough.
    pub(super) fn reserve(&mut self, bytes: usize) -> bool {
        if bytes > self.limit {
            return false;
        }
        // All or nothing: a part would be useless here, and missing for other rings.
        let more = bytes.saturating_sub(self.taken).div_ceil(STEP).saturating_mul(STEP);
        let granted = more == 0 || self.space.take(more);
        if granted {
            self.taken += more;
        }
        granted
    }

    /// Keeps at least this much of the reserved space, even if it is unused, until the next call.
    pub(super) const fn keep_reserved(&mut self, bytes: usize) {
        self.minimum = bytes;
    }

    /// Copies bytes from the ring's file. Returns whether that succeeded.
    pub(super) fn store(&mut self, from: &File, mut at: u64, to: u64) -> bool {
        let mut piece = Vec::new();
        self.end = self.end.max(to);
        while at < to {
            piece.clear();
            let length = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
            if read_at(from, at, length, &mut piece) < length
                || self.file.write_all_at(&piece, at).is_err()
            {
                return false;
            }
            at += length as u64;
        }
        true
    }

    /// Frees the space of bytes before `to`. Those up to `end` are still needed.
    pub(super) fn free(&mut self, to: u64, end: u64) {
        let (is_used, is_over) = (self.end > self.freed, to >= self.end);
        if is_used
            && (is_over || to.saturating_sub(self.freed) >= HOLE)
            && punch(&self.file, self.freed, to)
        {
            self.freed = to;
        }
        let used = usize::try_from(end.saturating_sub(to)).unwrap_or(usize::MAX);
        let needed = used.max(self.minimum);
        // A little more than needed, so that it need not be reserved again at once.
        let keep = if needed == 0 { 0 } else { needed.saturating_add(STEP) };
        if self.taken > keep {
            let least = keep.div_ceil(STEP).saturating_mul(STEP);
            let surplus = self.taken.saturating_sub(least);
            self.space.give_back(surplus);
            self.taken -= surplus;
        }
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.space.give_back(self.taken);
    }
}
