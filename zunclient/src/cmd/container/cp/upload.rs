//! Uploads a tar stream to the host.

use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use http_body_util::StreamBody;
use hyper::body::Frame;
use tokio::sync::mpsc;
use zun_common::grant::ArchiveCall;

use super::chunks::Writer;
use super::copy_path::ContainerPath;
use super::{DataChannel, QUEUED_CHUNKS, directory_error, finished, progress};
use crate::cmd::Failure;
use crate::console::ConsoleError;

/// Uploads what `write` writes. If it fails, the stream to the host is aborted, never ended normally.
pub(super) async fn upload(
    channel: &DataChannel,
    directory: &ContainerPath,
    write: impl FnOnce(Writer) -> io::Result<()> + Send + 'static,
) -> Result<(), Failure> {
    let (chunks, received) = mpsc::channel(QUEUED_CHUNKS);
    let address = channel.address.with(&ArchiveCall::Write.query(&directory.path));
    let stream = unfold(received, |mut received: mpsc::Receiver<io::Result<Bytes>>| async {
        let chunk = received.recv().await?;
        progress::add(chunk.as_ref().map_or(0, Bytes::len));
        Some((chunk.map(Frame::data), received))
    });
    let write_error = Arc::new(OnceLock::new());
    let (error_slot, failure) = (Arc::clone(&write_error), chunks.clone());
    let writing = tokio::task::spawn_blocking(move || {
        if let Err(cause) = write(Writer::new(chunks)) {
            // If the host stops reading, its answer says why.
            if cause.kind() != io::ErrorKind::BrokenPipe {
                error_slot.set(zun_common::chain(&cause)).ok();
            }
            // If the receiver is gone, nothing needs to be aborted.
            failure.blocking_send(Err(io::Error::other("the source has failed"))).ok();
        }
        Ok(())
    });
    let put = channel.direct.put(&address, StreamBody::new(stream.boxed())).await;
    match put {
        // The writer may block on an idle stdin, so it is not waited for.
        Ok(()) if !writing.is_finished() => Ok(()),
        Ok(()) => finished(writing.await),
        // If the host refused, its message is the cause. Otherwise a local file that could not be read is the cause,
        // because zun aborted the stream then.
        Err(error) => {
            let unread =
                write_error.get().filter(|_| !matches!(error, ConsoleError::Refused { .. }));
            Err(unread.map_or_else(
                || directory_error(error, directory),
                |message| Failure::new(message.as_str()),
            ))
        }
    }
}
