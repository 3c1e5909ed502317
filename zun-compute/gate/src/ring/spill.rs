//! A file on disk for what a ring cannot keep in memory while somebody still needs it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};

use super::{HOLE, Memory, read_at};
use crate::kept::punch;

/// Space is taken in pieces of this size, in bytes.
const STEP: usize = 1 << 20;
/// The most bytes that are copied at once.
const PIECE: usize = 64 << 10;

/// The file, which has no name: it is gone with its last descriptor.
#[derive(Debug)]
pub struct Spill {
    file: File,
    limit: usize,
    space: Memory,
    /// How much of the space was taken.
    taken: usize,
    /// Everything before this offset has given its space back.
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
        Self { file, limit, space, taken: 0, freed: 0 }
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Takes the space of a former process's file.
    pub(super) fn take_used(&mut self, bytes: usize) {
        self.space.take_used(bytes);
        self.taken += bytes;
    }

    /// Takes space for so many bytes in all. Returns whether there is enough.
    pub(super) fn reserve(&mut self, bytes: usize) -> bool {
        if bytes > self.limit {
            return false;
        }
        while self.taken < bytes {
            if !self.space.take(STEP) {
                return false;
            }
            self.taken += STEP;
        }
        true
    }

    /// Copies bytes from the ring's file. Returns whether that succeeded.
    pub(super) fn store(&self, from: &File, mut at: u64, to: u64) -> bool {
        let mut piece = Vec::new();
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

    /// Gives the space of bytes before an offset back.
    pub(super) fn free(&mut self, to: u64) {
        if to.saturating_sub(self.freed) >= HOLE && punch(&self.file, self.freed, to) {
            self.freed = to;
        }
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        self.space.give_back(self.taken);
    }
}
