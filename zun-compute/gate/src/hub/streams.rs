//! The engine's stream of a session, with the pipes and files through which its bytes flow.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;

use crate::kept::{Input, Output, inode, take};
use crate::ring::Memory;
use crate::session::{Files, Session};

/// The engine's stream, and both directions.
#[derive(Debug)]
pub(super) struct Streams {
    pub(super) stream: UnixStream,
    pub(super) output: Output,
    pub(super) input: Input,
}

/// Which of a session's descriptors is which, by their inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Inodes {
    stream: u64,
    output: [u64; 2],
    input: [u64; 2],
    rings: [u64; 2],
    /// Without a terminal.
    #[serde(default)]
    spilled: Option<[u64; 2]>,
}

impl Inodes {
    /// The session has another stream.
    pub(super) fn set_stream(&mut self, streams: &Streams) -> io::Result<()> {
        self.stream = inode(&streams.stream)?;
        Ok(())
    }
}

impl Streams {
    /// Begins with a stream from which `early` was already read. `spool` is the session's.
    pub(super) fn begin(
        stream: UnixStream,
        early: &Bytes,
        (spool, memory): (&File, Memory),
    ) -> io::Result<Self> {
        let input = Input::begin(spool.try_clone()?)?;
        Ok(Self { stream, output: Output::begin(early, memory)?, input })
    }

    /// Restores the streams of a former gate from its descriptors. `taken` is how much of the output is in the rings.
    pub(super) fn restored(
        inodes: &Inodes,
        descriptors: &mut Vec<OwnedFd>,
        (taken, memory): (u64, Memory),
    ) -> io::Result<(Self, Files)> {
        let Inodes { stream, output, input, rings, spilled } = *inodes;
        let mut file = |inode| take(descriptors, inode).map(File::from);
        let (pipe, journal) = (file(output[0])?, file(output[1])?);
        let (input_pipe, spool) = (file(input[0])?, file(input[1])?);
        let (stdout, stderr) = (file(rings[0])?, file(rings[1])?);
        let spilled = match spilled {
            Some([stdout, stderr]) => Some([file(stdout)?, file(stderr)?]),
            None => None,
        };
        let stream = std::os::unix::net::UnixStream::from(take(descriptors, stream)?);
        stream.set_nonblocking(true)?;
        let streams = Self {
            stream: UnixStream::from_std(stream)?,
            output: Output::restored((pipe, journal), taken, memory)?,
            input: Input::restored(input_pipe, spool.try_clone()?)?,
        };
        Ok((streams, Files { stdout, stderr, spool, spilled }))
    }

    /// All descriptors that must be kept for the session, and which is which.
    pub(super) fn kept<'a>(
        &'a self,
        session: &'a Session,
    ) -> io::Result<(Vec<BorrowedFd<'a>>, Inodes)> {
        let [stdout, stderr, _spool] = session.files();
        let (output, input) = (self.output.descriptors(), self.input.descriptors());
        let rings = [stdout.as_fd(), stderr.as_fd()];
        let spilled = session.spilled().map(|files| files.map(std::os::fd::AsFd::as_fd));
        let of_pair =
            |pair: [BorrowedFd<'_>; 2]| Ok::<_, io::Error>([inode(pair[0])?, inode(pair[1])?]);
        let inodes = Inodes {
            stream: inode(&self.stream)?,
            output: of_pair(output)?,
            input: of_pair(input)?,
            rings: of_pair(rings)?,
            spilled: spilled.map(of_pair).transpose()?,
        };
        let all = [output, input, rings].into_iter().chain(spilled).flatten();
        Ok((std::iter::once(self.stream.as_fd()).chain(all).collect(), inodes))
    }
}
