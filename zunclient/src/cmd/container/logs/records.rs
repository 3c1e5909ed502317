//! Reads a container's log from Docker and shows it record by record.

use bytes::Bytes;
use hyper::Method;
use zun_common::docker_stream::Stream;
use zun_common::grant::LogsQuery;
use zun_common::log_records::{LineTimestamps, Piece, RecordReader};

use super::super::data::DataChannel;
use crate::cmd::Failure;
use crate::console::ConsoleError;
use crate::console::docker::direct::next_chunk;
use crate::tty::screen::{Closed, Output, Screen};

/// The result of a write: `Err` if the reader of the output is gone.
pub(super) type Written = Result<(), Closed>;

/// Shows records with or without their timestamps.
pub(super) struct Shown<'a> {
    screen: &'a Screen,
    /// Writes the timestamps before the lines; `None` to omit them.
    stamped: Option<LineTimestamps>,
}

impl<'a> Shown<'a> {
    pub(super) fn on(screen: &'a Screen, timestamps: bool) -> Self {
        Self { screen, stamped: timestamps.then(LineTimestamps::default) }
    }

    pub(super) async fn show(&mut self, piece: Piece) -> Written {
        let output = output(piece.stream);
        let text = match &mut self.stamped {
            Some(stamped) => stamped.format(piece),
            None => piece.text,
        };
        if text.is_empty() { Ok(()) } else { self.screen.write(output, Bytes::from(text)).await }
    }
}

/// The output to which a stream is written.
pub(super) const fn output(stream: Stream) -> Output {
    match stream {
        Stream::Stdout => Output::Stdout,
        Stream::Stderr => Output::Stderr,
    }
}

/// Docker's response to a logs request, after its headers.
pub(super) struct Answer {
    body: hyper::body::Incoming,
    records: RecordReader,
}

impl Answer {
    /// Requests the log. The query must ask for timestamps.
    pub(super) async fn of(channel: &DataChannel, query: &LogsQuery) -> Result<Self, ConsoleError> {
        let address = channel.address.with(&query.query());
        let answer = channel.direct.get(Method::GET, &address).await?;
        Ok(Self { body: answer.into_body(), records: RecordReader::new(channel.tty) })
    }

    /// Returns the next piece of a record; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Piece>, Failure> {
        loop {
            let next = self.records.next_piece();
            if let Some(next) = next.map_err(|unknown| Failure::new(unknown.to_string()))? {
                return Ok(Some(next));
            }
            match next_chunk(&mut self.body).await.transpose()? {
                Some(bytes) => self.records.feed(&bytes),
                None => return Ok(self.records.finish()),
            }
        }
    }
}
