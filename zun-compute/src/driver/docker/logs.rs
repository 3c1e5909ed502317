//! Reads the end of a container's output.
//!
//! If the container has no terminal, Docker multiplexes the output. If it has a terminal, the output is raw. With
//! timestamps, the output is split into records, because Docker writes a timestamp
//! before each piece of a long line.

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use zun_common::docker_stream::{Demultiplexer, UnknownStream};
use zun_common::id::ContainerId;
use zun_common::log_records::{LineTimestamps, RecordReader};
use zun_common::rpc::container::{LogRequest, Logs};

use super::DockerDriver;
use super::deadline::{QUICK, within};
use super::errors::RequestFailure;
use crate::driver::{DriverError, Inspect as _, LARGEST_OUTPUT};

/// The maximum number of lines to request. With a limit Docker reads its log file from the end, which matters because
/// it needs tens of microseconds for each line.
const MAX_LINES: u32 = 100_000;

impl DockerDriver {
    pub(super) async fn read_logs(
        &self,
        container: ContainerId,
        request: &LogRequest,
    ) -> Result<Logs, DriverError> {
        const DOING: &str = "read the container's output";
        let tty = self.inspect(container).await?.tty;
        if request.tail == Some(0) {
            return Ok(Logs { data: Vec::new(), truncated: false });
        }
        let version = self.api().await?.version;
        let path =
            format!("/v{version}/containers/{}/logs?{}", container.engine_name(), query(request));
        let read = async {
            let body = self.wire.get(&path).await?;
            if request.timestamps { stamped(body, tty).await } else { collect(body, tty).await }
        };
        within(QUICK, read).await.map_err(|failure| failure.about_container(DOING, container))
    }
}

fn query(request: &LogRequest) -> String {
    let LogRequest { stdout, stderr, timestamps, tail, since } = request;
    // One extra line shows whether the output is longer than the limit.
    let tail = tail.unwrap_or(u32::MAX).min(MAX_LINES + 1);
    let since = since.map_or_else(String::new, |since| {
        format!("&since={}.{:09}", since.timestamp(), since.timestamp_subsec_nanos())
    });
    format!("stdout={stdout}&stderr={stderr}&timestamps={timestamps}&tail={tail}{since}")
}

async fn collect(mut body: Incoming, tty: bool) -> Result<Logs, RequestFailure> {
    let mut frames = Demultiplexer::default();
    let mut kept = Tail::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| RequestFailure::Unreachable(Box::new(error)))?;
        let Ok(bytes) = frame.into_data() else { continue };
        if tty {
            kept.push(&bytes);
        } else {
            frames.feed(&bytes);
            while let Some(part) = frames.next_part()? {
                kept.push(&part.data);
            }
        }
    }
    Ok(kept.finish())
}

/// Keeps one timestamp before each line.
async fn stamped(mut body: Incoming, tty: bool) -> Result<Logs, RequestFailure> {
    let mut records = RecordReader::new(tty);
    let mut lines = LineTimestamps::default();
    let mut kept = Tail::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| RequestFailure::Unreachable(Box::new(error)))?;
        let Ok(bytes) = frame.into_data() else { continue };
        records.feed(&bytes);
        while let Some(piece) = records.next_piece()? {
            kept.push(&lines.format(piece));
        }
    }
    if let Some(piece) = records.finish() {
        kept.push(&lines.format(piece));
    }
    Ok(kept.finish())
}

impl From<UnknownStream> for RequestFailure {
    fn from(unknown: UnknownStream) -> Self {
        Self::Unexpected(unknown.to_string())
    }
}

/// Keeps the last 4 MiB of the data that is pushed.
#[derive(Debug, Default)]
struct Tail {
    data: Vec<u8>,
    lines: u32,
    truncated: bool,
}

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let ends = bytes.split(|byte| *byte == b'\n').count() - 1;
        self.lines = self.lines.saturating_add(u32::try_from(ends).unwrap_or(u32::MAX));
        self.data.extend_from_slice(bytes);
        // Trim rarely, so that each byte is moved about once.
        if self.data.len() > 2 * LARGEST_OUTPUT {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let over = self.data.len().saturating_sub(LARGEST_OUTPUT);
        self.truncated |= over > 0;
        self.data.drain(..over);
    }

    fn finish(mut self) -> Logs {
        self.trim();
        Logs { data: self.data, truncated: self.truncated || self.lines > MAX_LINES }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_4_mib_are_kept_and_the_cut_is_reported() {
        let mut tail = Tail::default();
        for number in 0..10_u8 {
            tail.push(&vec![number; 1 << 20]);
        }
        let logs = tail.finish();
        assert!(logs.truncated);
        assert_eq!(logs.data.len(), LARGEST_OUTPUT);
        assert_eq!((logs.data.first(), logs.data.last()), (Some(&6), Some(&9)));
    }
}
