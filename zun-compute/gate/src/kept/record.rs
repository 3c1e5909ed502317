//! The file in which a session's state is written.
//!
//! ```text
//!  0            4096             8192        8192 + the size of a slot
//!  │ progress    │ slot, length   │ slot 0     │ slot 1
//! ```
//! A process may be killed between any two pages of a write. The progress fits into one page, so each write of it is
//! atomic. The state is written to the slot that is not in use, and then the slot is switched.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;

use super::memory_file;
use crate::ring::read_at;

/// The size of the progress, in bytes: the smallest page.
const PAGE: usize = 4 << 10;
/// The most values of a progress.
pub(crate) const MOST_NUMBERS: usize = PAGE / 8 - 1;
const SELECTOR: u64 = PAGE as u64;
const FIRST_SLOT: u64 = 2 * SELECTOR;
/// The largest state of a session, in bytes.
const SLOT: u64 = 2 << 20;
/// The largest state of what is not a session, in bytes. The file has memory only for what was written.
pub(crate) const LARGE: u64 = 16 << 20;

/// The name of the file, which distinguishes it from the session's other files.
const NAME: &str = "zun-session";

/// The file.
#[derive(Debug)]
pub struct Record {
    file: File,
    progress: Vec<u8>,
    state: Vec<u8>,
    slot: u32,
    /// The size of a slot, in bytes.
    size: u64,
}

impl Record {
    /// Creates an empty record.
    pub fn create() -> io::Result<Self> {
        Self::create_with(SLOT)
    }

    /// Creates an empty record for a state of at most this many bytes.
    pub(crate) fn create_with(size: u64) -> io::Result<Self> {
        let file = memory_file(NAME)?;
        Ok(Self { file, progress: Vec::new(), state: Vec::new(), slot: 0, size })
    }

    /// Opens the record of a former process.
    pub fn restored(file: File) -> io::Result<Self> {
        Self::restored_with(file, SLOT)
    }

    /// Opens the record of a former process that has created it with this size.
    pub(crate) fn restored_with(file: File, size: u64) -> io::Result<Self> {
        let mut selector = [0; 8];
        file.read_exact_at(&mut selector, SELECTOR)?;
        let selector = u64::from_le_bytes(selector);
        let slot = u32::try_from(selector >> 32).map_err(io::Error::other)?;
        let length = usize::try_from(selector & u64::from(u32::MAX)).map_err(io::Error::other)?;
        let (mut progress, mut state) = (Vec::new(), Vec::new());
        read_at(&file, 0, PAGE, &mut progress);
        if read_at(&file, slot_at(slot, size), length, &mut state) < length || length == 0 {
            return Err(io::Error::other("the record is not complete"));
        }
        Ok(Self { file, progress, state, slot, size })
    }

    /// Whether this is a record's file.
    pub fn is_record(file: BorrowedFd<'_>) -> bool {
        let number = std::os::fd::AsRawFd::as_raw_fd(&file);
        let name = std::fs::read_link(format!("/proc/self/fd/{number}"));
        name.is_ok_and(|name| name.to_string_lossy().starts_with(&format!("/memfd:{NAME} ")))
    }

    /// The descriptor that must be kept.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The state.
    pub fn state(&self) -> &[u8] {
        &self.state
    }

    /// The progress: zeros follow the numbers that were written.
    pub fn progress(&self) -> Vec<u64> {
        let numbers = self.progress.chunks_exact(8);
        numbers.filter_map(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?))).collect()
    }

    /// Writes the progress if it has changed.
    pub fn set_progress(&mut self, numbers: &[u64]) -> io::Result<()> {
        let numbers = numbers.iter().take(MOST_NUMBERS);
        let bytes: Vec<u8> = numbers.flat_map(|number| number.to_le_bytes()).collect();
        if bytes != self.progress {
            self.file.write_all_at(&bytes, 0)?;
            self.progress = bytes;
        }
        Ok(())
    }

    /// Writes the state if it has changed.
    pub fn set_state(&mut self, state: Vec<u8>) -> io::Result<()> {
        if state == self.state {
            return Ok(());
        }
        let length =
            u32::try_from(state.len()).ok().filter(|length| u64::from(*length) <= self.size);
        let length = length.ok_or_else(|| io::Error::other("the session's state is too large"))?;
        let slot = 1 - self.slot.min(1);
        self.file.write_all_at(&state, slot_at(slot, self.size))?;
        let selector = (u64::from(slot) << 32) | u64::from(length);
        self.file.write_all_at(&selector.to_le_bytes(), SELECTOR)?;
        (self.slot, self.state) = (slot, state);
        Ok(())
    }
}

fn slot_at(slot: u32, size: u64) -> u64 {
    FIRST_SLOT + u64::from(slot.min(1)) * size
}
