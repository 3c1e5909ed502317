//! What is written here as a stream to the host.

use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::mpsc;
use zun_common::grant::ArchiveCall;

use super::pieces::Writer;
use super::place::Inside;
use super::{Reached, WAITING, finished, told};
use crate::cmd::Failure;
use crate::console::ConsoleError;

/// Sends what is written to the stream. Where writing fails, the host is not told that it ended well.
pub(super) async fn send(
    reached: &Reached,
    folder: &Inside,
    write: impl FnOnce(Writer) -> io::Result<()> + Send + 'static,
) -> Result<(), Failure> {
    let (pieces, taken) = mpsc::channel(WAITING);
    let address = reached.address.with(&ArchiveCall::Write.query(&folder.path));
    let stream = unfold(taken, |mut taken: mpsc::Receiver<io::Result<Bytes>>| async {
        let piece = taken.recv().await?;
        Some((piece.map(Frame::data), taken))
    });
    let unwritten = Arc::new(OnceLock::new());
    let (noted, failure) = (Arc::clone(&unwritten), pieces.clone());
    let writing = tokio::task::spawn_blocking(move || {
        if let Err(cause) = write(Writer::new(pieces)) {
            // Where the host takes no more, it is the host that says why.
            if cause.kind() != io::ErrorKind::BrokenPipe {
                noted.set(zun_common::chain(&cause)).ok();
            }
            // Whoever is gone need not be told.
            failure.blocking_send(Err(io::Error::other("cut"))).ok();
        }
        Ok(())
    });
    let put = reached.direct.put(&address, StreamBody::new(stream.boxed())).await;
    match put {
        // The writer is not waited for: it may hang on an input to which nobody writes.
        Ok(()) if !writing.is_finished() => Ok(()),
        Ok(()) => finished(writing.await),
        // A file that cannot be read is why the host was cut off; the host's refusal, why nothing more could be
        // written.
        Err(error) => {
            let unread = unwritten.get().filter(|_| !matches!(error, ConsoleError::Refused { .. }));
            Err(unread.map_or_else(|| told(error, folder), |words| Failure::new(words.as_str())))
        }
    }
}
