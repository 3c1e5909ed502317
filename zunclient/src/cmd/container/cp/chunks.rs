//! A bounded queue of chunks between blocking code (files, tar) and the asynchronous connection.

use std::io::{self, Read, Write};

use bytes::{Buf as _, Bytes};
use tokio::sync::mpsc;

/// The largest chunk, in bytes.
pub(super) const MAX_CHUNK: usize = 64 << 10;

/// Reads chunks as one stream. An error in the queue is an error of reading.
pub(super) struct Reader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

impl Reader {
    /// Creates a queue that holds at most `waiting` chunks, and the reader of that queue.
    pub(super) fn new(waiting: usize) -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (sender, chunks) = mpsc::channel(waiting);
        (sender, Self { chunks, current: Bytes::new() })
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.chunks.blocking_recv() {
                Some(chunk) => self.current = chunk?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Sends what is written, in large chunks.
pub(super) struct Writer {
    chunks: mpsc::Sender<io::Result<Bytes>>,
    gathered: Vec<u8>,
}

impl Writer {
    pub(super) fn new(chunks: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self { chunks, gathered: Vec::with_capacity(MAX_CHUNK) }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.gathered.len() >= MAX_CHUNK {
            self.flush()?;
        }
        let count = bytes.len().min(MAX_CHUNK - self.gathered.len());
        self.gathered.extend_from_slice(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.gathered, Vec::with_capacity(MAX_CHUNK));
        let gone = |_gone| io::Error::new(io::ErrorKind::BrokenPipe, "the host stopped reading");
        self.chunks.blocking_send(Ok(chunk.into())).map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        let (chunks, mut reader) = Reader::new(2);
        let sent: Vec<u8> = (0..=255).cycle().take(5 * MAX_CHUNK + 7).collect();
        let expected = sent.clone();
        let writing = std::thread::spawn(move || {
            let mut writer = Writer::new(chunks);
            writer.write_all(&sent).and_then(|()| writer.flush())
        });
        let mut read = Vec::new();
        reader.read_to_end(&mut read).expect("all of it");
        writing.join().expect("no panic").expect("written");
        assert!(read == expected);
    }

    #[test]
    fn a_failure_on_the_way_is_no_end() {
        let (chunks, mut reader) = Reader::new(2);
        chunks.blocking_send(Ok(Bytes::from_static(b"half"))).expect("room");
        chunks.blocking_send(Err(io::Error::other("cut"))).expect("room");
        drop(chunks);
        let mut read = Vec::new();
        assert!(reader.read_to_end(&mut read).is_err());
    }
}
