//! Reads typed bytes on its own thread. It never makes the descriptor non-blocking, because other programs share it. It
//! stops reading when the session ends, so later keys go to the shell.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc as thread_mpsc;

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tokio::sync::mpsc;

/// The largest chunk, in bytes.
const CHUNK: usize = 32 << 10;

/// Typed bytes. Dropping this stops the reading.
#[derive(Debug)]
pub struct Keys {
    chunks: mpsc::Receiver<Bytes>,
    terminal: bool,
    /// The write end of a pipe. Closing it on drop wakes the thread.
    wake: Option<OwnedFd>,
    ended: Option<thread_mpsc::Receiver<()>>,
}

impl Keys {
    /// Starts to read from `input`.
    pub fn read(input: OwnedFd) -> std::io::Result<Self> {
        let (wake_reader, wake) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (sender, chunks) = mpsc::channel(4);
        let terminal = rustix::termios::isatty(&input);
        let (alive, ended) = thread_mpsc::channel::<()>();
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            read_all(&input, &wake_reader, &sender);
            drop(alive);
        })?;
        Ok(Self { chunks, terminal, wake: Some(wake), ended: Some(ended) })
    }

    /// Creates it from a channel instead of a descriptor.
    pub const fn from_channel(chunks: mpsc::Receiver<Bytes>) -> Self {
        Self { chunks, terminal: false, wake: None, ended: None }
    }

    /// Returns `true` if the input is a terminal. In raw mode, its end means that the terminal was closed.
    pub const fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Returns the next chunk, or `None` at the end of the input.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.chunks.recv().await
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.chunks.close();
        drop(self.wake.take());
        if let Some(ended) = self.ended.take() {
            // Nothing is ever sent: the channel closes when the thread ends.
            let over = ended.recv_timeout(std::time::Duration::from_millis(200));
            debug_assert!(over.is_err(), "nothing is ever sent");
        }
    }
}

fn read_all(input: &OwnedFd, wake: &OwnedFd, chunks: &mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; CHUNK];
    while wait_for_input(input, wake) {
        match rustix::io::read(input, &mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                let chunk = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
                if chunks.blocking_send(chunk).is_err() {
                    return;
                }
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_hung_up) => return,
        }
    }
}

/// Waits for input. Returns `false` if the session has ended.
fn wait_for_input(input: &OwnedFd, wake: &OwnedFd) -> bool {
    loop {
        let mut waited = [
            PollFd::from_borrowed_fd(input.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN),
        ];
        match poll(&mut waited, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_broken) => return false,
        }
        let [input, wake] = waited;
        if !wake.revents().is_empty() {
            return false;
        }
        if !input.revents().is_empty() {
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_arrive_unchanged_and_then_the_end_of_the_input() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let mut keys = Keys::read(reader).expect("a thread");
        rustix::io::write(&writer, b"hello").expect("written");
        drop(writer);
        let mut all = Vec::new();
        while let Some(chunk) = keys.next().await {
            all.extend_from_slice(&chunk);
        }
        assert_eq!(all, b"hello");
    }

    #[tokio::test]
    async fn keys_typed_after_the_session_stay_for_the_next_program() {
        let (reader, writer) = rustix::pipe::pipe().expect("a pipe");
        let next_program = reader.try_clone().expect("a copy");
        drop(Keys::read(reader).expect("a thread"));
        rustix::io::write(&writer, b"later").expect("written");
        let mut buffer = [0; 16];
        let count = rustix::io::read(&next_program, &mut buffer).expect("still there");
        assert_eq!(&buffer[..count], b"later");
    }
}
