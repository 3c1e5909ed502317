//! Stdin on its way to the engine.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use rustix::fs::tell;
use rustix::io::ioctl_fionread;
use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;
use tokio::net::UnixStream;

use super::{one_pipe, punch};

/// The spool gives memory back in pieces of at least this size.
const HOLE: u64 = 256 << 10;
/// No hole is punched in this many of the newest bytes of the spool: more than a pipe and a socket can hold. splice may
/// pass the spool's own pages to the engine, and a hole would zero a part of them.
const IN_FLIGHT: u64 = 512 << 10;
/// The largest size of a page, in bytes.
const PAGE: u64 = 64 << 10;
/// The most bytes of the spool that were passed on and have not given their memory back.
pub(crate) const MOST_KEPT: u64 = IN_FLIGHT + HOLE + PAGE;

/// The spool of all stdin, and a pipe. The kernel counts what has left the spool: its position.
#[derive(Debug)]
pub struct Input {
    pipe: File,
    spool: File,
    /// The spool's position.
    at: u64,
    /// How many bytes are in the pipe.
    in_pipe: usize,
    freed: u64,
    /// The end of the piece that is being moved. If a call is interrupted, the next one finishes the piece.
    end: Option<u64>,
}

impl Input {
    /// Begins with an empty spool, to which the session writes.
    pub fn begin(spool: File) -> io::Result<Self> {
        Self::restored(one_pipe()?, spool)
    }

    /// Continues those of a former process.
    pub fn restored(pipe: File, spool: File) -> io::Result<Self> {
        let (at, in_pipe) = (tell(&spool)?, ioctl_fionread(&pipe)?);
        let in_pipe = usize::try_from(in_pipe).map_err(io::Error::other)?;
        Ok(Self { pipe, spool, at, in_pipe, freed: 0, end: None })
    }

    /// The descriptors that must be kept: the pipe and the spool.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.pipe.as_fd(), self.spool.as_fd()]
    }

    /// The offset of the next byte that leaves the spool.
    pub const fn position(&self) -> u64 {
        self.at
    }

    /// Moves the next bytes of the spool to the engine. A call that was interrupted because the engine stopped is
    /// repeated with the same length.
    pub async fn pass(&mut self, stream: &UnixStream, length: usize) -> io::Result<()> {
        let end = *self.end.get_or_insert(self.at + length as u64);
        self.flush(stream).await?;
        while self.at < end {
            let left = usize::try_from(end - self.at).unwrap_or(usize::MAX);
            let moved = splice(&self.spool, None, &self.pipe, None, left, SpliceFlags::NONBLOCK)?;
            if moved == 0 {
                return Err(io::Error::other("the spool has too few bytes"));
            }
            self.at += moved as u64;
            self.in_pipe += moved;
            self.flush(stream).await?;
        }
        self.end = None;
        self.free();
        Ok(())
    }

    /// Moves what is in the pipe to the engine.
    pub async fn flush(&mut self, stream: &UnixStream) -> io::Result<()> {
        while self.in_pipe > 0 {
            let moved = stream.try_io(Interest::WRITABLE, || {
                Ok(splice(&self.pipe, None, stream, None, self.in_pipe, SpliceFlags::NONBLOCK)?)
            });
            match moved {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(moved) => self.in_pipe = self.in_pipe.saturating_sub(moved),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn free(&mut self) {
        let passed = self.at.saturating_sub(IN_FLIGHT) / PAGE * PAGE;
        if passed.saturating_sub(self.freed) >= HOLE && punch(&self.spool, self.freed, passed) {
            self.freed = passed;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::kept::memory_file;

    #[tokio::test]
    async fn a_piece_that_was_cut_off_continues_at_the_next_stream() {
        let sent: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
        let spool = memory_file("spool").expect("a file");
        spool.write_all_at(&sent, 0).expect("written");
        let mut input = Input::begin(spool).expect("a pipe");
        let mut received = Vec::new();
        let (stream, mut process) = UnixStream::pair().expect("a stream");
        tokio::select! {
            biased;
            passed = input.pass(&stream, sent.len()) => panic!("nobody reads: {passed:?}"),
            () = tokio::task::yield_now() => {}
        }
        drop(stream);
        process.read_to_end(&mut received).await.expect("read");
        assert!(!received.is_empty());
        let (stream, mut process) = UnixStream::pair().expect("a stream");
        let passing = async {
            input.pass(&stream, sent.len()).await.expect("passed");
            drop(stream);
        };
        let (_, ()) = tokio::join!(process.read_to_end(&mut received), passing);
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    }
}
