//! What outlives the process: unnamed files, pipes and sockets, whose descriptors a service manager keeps.
//!
//! ```text
//!  engine's socket ─ splice ─> pipe ─ splice ─> journal ─ copy ─> rings     (Output)
//!  clients ─ copy ─> spool ─ splice ─> pipe ─ splice ─> engine's socket     (Input)
//! ```
//! A process that is killed loses what it has read into its own memory, and does not know whether its last write took
//! place. So no byte of a stream is in the memory of the process only: the kernel moves it from one of these objects to
//! the next one. How far that went is the position of the journal and the spool, and the number of bytes in the pipes,
//! which the kernel keeps too. The rest is in the session's [`Record`].

mod inherited;
mod input;
mod output;
mod record;
mod store;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, fallocate, fstat, memfd_create, open};
use rustix::pipe::pipe;

pub use inherited::{Inherited, InheritedError};
pub(crate) use inherited::{LISTENER, RIGHTS, session_name, take};
pub use input::Input;
pub(crate) use input::MOST_KEPT;
pub use output::Output;
pub use record::Record;
pub(crate) use record::{LARGE, MOST_NUMBERS};
pub use store::DescriptorStore;

/// Creates an empty file in memory. The name shows up in lists of descriptors only.
pub fn memory_file(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// Gives the memory of a part of a file back. Returns whether the system could.
pub(crate) fn punch(file: &File, from: u64, to: u64) -> bool {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    from < to && fallocate(file, flags, from, to - from).is_ok()
}

/// Identifies an open file, pipe or socket: a descriptor that comes back may have another number.
pub(crate) fn inode(descriptor: impl AsFd) -> io::Result<u64> {
    Ok(fstat(descriptor)?.st_ino)
}

/// Creates a pipe with one descriptor for both ends.
fn one_pipe() -> io::Result<File> {
    let (reader, _writer) = pipe()?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&reader);
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(open(format!("/proc/self/fd/{number}"), flags, Mode::empty())?))
}
