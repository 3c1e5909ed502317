//! Writes output on its own thread, so a stalled terminal or pipe blocks nothing else. The queue is bounded, and
//! writers wait if it is full.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::{mpsc, oneshot};

/// One of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The output can no longer be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output is closed")]
pub struct Closed {
    /// Why, such as a full disk; `None` if its reader is gone.
    pub cause: Option<Errno>,
}

/// The destination of output.
#[derive(Debug)]
pub struct Screen {
    chunks: mpsc::Sender<(Output, Bytes)>,
    ended: oneshot::Receiver<Result<(), Closed>>,
    /// Set before the receiver of the chunks is dropped.
    failed: Arc<OnceLock<Closed>>,
}

impl Screen {
    /// Starts a thread that writes to these two descriptors, in order.
    pub fn write_to(stdout: OwnedFd, stderr: OwnedFd) -> std::io::Result<Self> {
        let (chunks, mut received) = mpsc::channel::<(Output, Bytes)>(16);
        let (end, ended) = oneshot::channel();
        let failed = Arc::new(OnceLock::new());
        let own = Arc::clone(&failed);
        std::thread::Builder::new().name("screen".to_owned()).spawn(move || {
            let mut outcome = Ok(());
            while let (Ok(()), Some((output, bytes))) = (outcome, received.blocking_recv()) {
                outcome = match output {
                    Output::Stdout => write_all(stdout.as_fd(), &bytes),
                    Output::Stderr => write_all(stderr.as_fd(), &bytes),
                };
            }
            if let Err(closed) = outcome {
                own.get_or_init(|| closed);
            }
            // The receiver is gone if the user detached.
            end.send(outcome).ok();
        })?;
        Ok(Self { chunks, ended, failed })
    }

    /// Creates a screen that writes to a channel.
    pub fn to_channel(chunks: mpsc::Sender<(Output, Bytes)>) -> Self {
        let (end, ended) = oneshot::channel();
        end.send(Ok(())).ok();
        Self { chunks, ended, failed: Arc::default() }
    }

    /// Queues output, and waits while the queue is full.
    pub async fn write(&self, output: Output, bytes: Bytes) -> Result<(), Closed> {
        let sent = self.chunks.send((output, bytes)).await;
        sent.map_err(|_closed| self.failed.get().copied().unwrap_or(Closed { cause: None }))
    }

    /// Waits until everything is written.
    pub async fn finish(self) -> Result<(), Closed> {
        drop(self.chunks);
        self.ended.await.unwrap_or(Err(Closed { cause: None }))
    }
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Closed> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut room = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
                if let Err(cause) = poll(&mut room, None)
                    && cause != Errno::INTR
                {
                    return Err(Closed { cause: Some(cause) });
                }
            }
            // A closed terminal is not an error of this machine either.
            Err(Errno::PIPE | Errno::IO) => return Err(Closed { cause: None }),
            Err(cause) => return Err(Closed { cause: Some(cause) }),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_writes_everything_to_the_right_descriptor() {
        let (out_reader, out) = rustix::pipe::pipe().expect("a pipe");
        let (err_reader, err) = rustix::pipe::pipe().expect("a pipe");
        let screen = Screen::write_to(out, err).expect("a thread");
        screen.write(Output::Stdout, Bytes::from_static(b"o")).await.expect("open");
        screen.write(Output::Stderr, Bytes::from_static(b"e")).await.expect("open");
        screen.finish().await.expect("written");
        let mut buffer = [0; 8];
        for (reader, expected) in [(out_reader, b"o"), (err_reader, b"e")] {
            let count = rustix::io::read(&reader, &mut buffer).expect("written");
            assert_eq!(&buffer[..count], expected);
        }
    }

    #[tokio::test]
    async fn a_closed_output_is_reported() {
        let (reader, out) = rustix::pipe::pipe().expect("a pipe");
        drop(reader);
        let err = out.try_clone().expect("a copy");
        let screen = Screen::write_to(out, err).expect("a thread");
        let chunk = Bytes::from_static(b"lost");
        while screen.write(Output::Stdout, chunk.clone()).await.is_ok() {}
        assert_eq!(screen.write(Output::Stdout, chunk).await, Err(Closed { cause: None }));
        assert_eq!(screen.finish().await, Err(Closed { cause: None }));
    }

    #[tokio::test]
    async fn a_full_disk_is_reported_with_its_cause() {
        let full = || OwnedFd::from(std::fs::File::create("/dev/full").expect("the device"));
        let screen = Screen::write_to(full(), full()).expect("a thread");
        let chunk = Bytes::from_static(b"lost");
        while screen.write(Output::Stdout, chunk.clone()).await.is_ok() {}
        let closed = Err(Closed { cause: Some(Errno::NOSPC) });
        assert_eq!(screen.write(Output::Stdout, chunk).await, closed);
        assert_eq!(screen.finish().await, closed);
    }
}
