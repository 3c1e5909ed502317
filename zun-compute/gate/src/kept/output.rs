//! The engine's output on its way to the rings.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::tell;
use rustix::io::ioctl_fionread;
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::{memory_file, one_pipe, punch};
use crate::ring::{Charge, Memory, read_at};
use crate::session::LARGEST_READ;

/// The journal gives memory back in pieces of at least this size.
const HOLE: u64 = 64 << 10;

/// A pipe, and the journal of all that the engine has sent. The kernel counts the journal's bytes: its position.
#[derive(Debug)]
pub struct Output {
    pipe: File,
    journal: File,
    end: u64,
    freed: u64,
    charge: Charge,
}

impl Output {
    /// Begins a journal with what was read of the stream already.
    pub fn begin(early: &[u8], memory: Memory) -> io::Result<Self> {
        let mut journal = memory_file("journal")?;
        journal.write_all(early)?;
        Self::restored((one_pipe()?, journal), 0, memory)
    }

    /// Continues the journal of a former process. Everything before `taken` is in the rings.
    pub fn restored((pipe, journal): (File, File), taken: u64, memory: Memory) -> io::Result<Self> {
        let end = tell(&journal)?;
        let left = usize::try_from(ioctl_fionread(&pipe)?).map_err(io::Error::other)?;
        let mut output = Self { pipe, journal, end, freed: 0, charge: Charge::on(memory) };
        output.free(taken);
        output.settle(left)?;
        Ok(output)
    }

    /// The descriptors that must be kept: the pipe and the journal.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.pipe.as_fd(), self.journal.as_fd()]
    }

    /// Waits for output of the engine, and moves it to the journal. Returns `false` at the end of the stream.
    pub async fn receive(&mut self, stream: &UnixStream) -> io::Result<bool> {
        loop {
            stream.readable().await?;
            let moved = stream.try_io(Interest::READABLE, || {
                let flags = SpliceFlags::NONBLOCK;
                Ok(splice(stream, None, &self.pipe, None, LARGEST_READ, flags)?)
            });
            match moved {
                Ok(0) => return Ok(false),
                Ok(moved) => return self.settle(moved).map(|()| true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves what is in the pipe to the journal: this many bytes.
    fn settle(&mut self, mut left: usize) -> io::Result<()> {
        while left > 0 {
            let flags = SpliceFlags::NONBLOCK;
            let moved = splice(&self.pipe, None, &self.journal, None, left, flags)?;
            if moved == 0 {
                return Err(io::Error::other("the pipe has too few bytes"));
            }
            self.end += moved as u64;
            left = left.saturating_sub(moved);
        }
        self.charge.set(self.end.saturating_sub(self.freed));
        Ok(())
    }

    /// The offset after the journal's last byte.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Appends the journal's bytes from an offset on to `out`.
    pub fn read(&self, from: u64, out: &mut Vec<u8>) {
        let length = usize::try_from(self.end.saturating_sub(from)).unwrap_or(usize::MAX);
        read_at(&self.journal, from, length, out);
    }

    /// Frees the memory of bytes before an offset. Must be called only after the record says that they are in the
    /// rings.
    pub fn free(&mut self, to: u64) {
        if to.saturating_sub(self.freed) >= HOLE && punch(&self.journal, self.freed, to) {
            self.freed = to;
            self.charge.set(self.end.saturating_sub(to));
        }
    }
}
