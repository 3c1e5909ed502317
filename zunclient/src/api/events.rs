//! Events, as the service sends them: one stream for as long as the client reads.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, Response};
use tokio::time::timeout;
use zun_common::api::v1::event::{Event, EventsEnd, EventsEndReason};

use super::client::{SHORT_TIMEOUT, request_of};
use super::{ApiError, Client};

/// The header with the ID after which a stream continues.
const LAST_EVENT_ID: &str = "last-event-id";
/// How long the service may send nothing. It sends something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
/// The longest line that is read, in bytes.
const LONGEST_LINE: usize = 4 << 20;

/// Which events to stream.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// First those that were recorded since this time: seconds since 1970, or RFC 3339.
    pub since: Option<String>,
    /// The time at which the stream ends.
    pub until: Option<String>,
    /// Values by key. Those of a key are alternatives, except labels.
    pub filters: BTreeMap<String, Vec<String>>,
    /// Those of all projects.
    pub all_projects: bool,
}

/// What a stream brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Streamed {
    /// An event.
    Event(Box<Event>),
    /// The service ends the stream.
    End(EventsEndReason),
}

/// A stream of events.
#[derive(Debug)]
pub struct EventStream {
    answer: Response,
    address: String,
    lines: Lines,
    block: Block,
    last_id: Option<String>,
}

impl Client {
    /// Streams events, after the one with this ID if there is one.
    pub async fn events(
        &self,
        query: &EventQuery,
        after: Option<&str>,
    ) -> Result<EventStream, ApiError> {
        let EventQuery { since, until, filters, all_projects } = query;
        let mut parameters = Vec::new();
        parameters.extend(since.as_ref().map(|since| ("since", since.clone())));
        parameters.extend(until.as_ref().map(|until| ("until", until.clone())));
        if !filters.is_empty() {
            parameters.push(("filters", serde_json::to_string(filters).unwrap_or_default()));
        }
        if *all_projects {
            parameters.push(("all_projects", "true".to_owned()));
        }
        let mut request = self.request(Method::GET, &["events"])?.query(&parameters);
        request = request.header(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Some(after) = after {
            request = request.header(LAST_EVENT_ID, after);
        }
        let request = request.build().map_err(ApiError::Setup)?;
        let lost = || ApiError::StreamLost { address: self.endpoint().to_string(), cause: None };
        let answer = timeout(SHORT_TIMEOUT, self.exchange(request)).await;
        let answer = answer.map_err(|_elapsed| lost())??;
        if !answer.status().is_success() {
            return Err(self.refused(answer).await);
        }
        Ok(EventStream {
            answer,
            address: self.endpoint().to_string(),
            lines: Lines::default(),
            block: Block::default(),
            last_id: after.map(str::to_owned),
        })
    }
}

impl EventStream {
    /// The ID after which another stream continues where this one is.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// Waits for the next event. Fails if the link is lost: a stream has an end of its own.
    pub async fn next(&mut self) -> Result<Streamed, ApiError> {
        loop {
            if let Some(item) = self.arrived()? {
                return Ok(item);
            }
            let lost = |cause| ApiError::StreamLost { address: self.address.clone(), cause };
            let chunk = timeout(SILENCE, self.answer.chunk()).await;
            let chunk = chunk.map_err(|_elapsed| lost(None))?;
            let chunk = chunk.map_err(|cause| lost(Some(cause.without_url())))?;
            let chunk = chunk.ok_or_else(|| lost(None))?;
            if !self.lines.feed(&chunk) {
                return Err(self.unreadable("a line is too long"));
            }
        }
    }

    /// The next of those that have arrived.
    fn arrived(&mut self) -> Result<Option<Streamed>, ApiError> {
        while let Some(line) = self.lines.next() {
            let item = self.take(&line)?;
            if item.is_some() {
                return Ok(item);
            }
        }
        Ok(None)
    }

    /// Takes a line. An empty one ends a block.
    fn take(&mut self, line: &str) -> Result<Option<Streamed>, ApiError> {
        if !line.is_empty() {
            self.block.take(line);
            return Ok(None);
        }
        let Block { id, kind, data } = std::mem::take(&mut self.block);
        let item = match (kind.as_str(), data) {
            ("" | "message", Some(data)) => {
                let event = serde_json::from_str(&data);
                Some(Streamed::Event(event.map_err(|cause| self.unreadable(cause))?))
            }
            ("end", Some(data)) => {
                let end: Result<EventsEnd, _> = serde_json::from_str(&data);
                Some(Streamed::End(end.map_err(|cause| self.unreadable(cause))?.reason))
            }
            // Only an ID, or something of a newer service.
            (_, _) => None,
        };
        self.last_id = id.or(self.last_id.take());
        Ok(item)
    }

    fn unreadable(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
        ApiError::BadAnswer { cause: cause.into(), request: request_of(&self.answer) }
    }
}

/// Splits what arrives into lines.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Adds bytes. Returns `false` if a line is too long.
    fn feed(&mut self, bytes: &Bytes) -> bool {
        self.rest.extend_from_slice(bytes);
        self.rest.len() <= LONGEST_LINE
    }

    fn next(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<u8> = self.rest.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line);
        Some(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// The fields of a server-sent event.
#[derive(Debug, Default)]
struct Block {
    id: Option<String>,
    kind: String,
    data: Option<String>,
}

impl Block {
    fn take(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.kind),
            "data" => match &mut self.data {
                Some(data) => data.extend(["\n", value]),
                None => self.data = Some(value.to_owned()),
            },
            // A comment, or a field of a newer service.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Option<String>, String, Option<String>);

    fn blocks(chunks: &[&[u8]]) -> Vec<Read> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for chunk in chunks {
            assert!(lines.feed(&Bytes::copy_from_slice(chunk)));
            all.extend(std::iter::from_fn(|| lines.next()));
        }
        let mut blocks: Vec<Block> = vec![Block::default()];
        for line in all {
            match blocks.last_mut() {
                Some(block) if !line.is_empty() => block.take(&line),
                _ => blocks.push(Block::default()),
            }
        }
        // After the last empty line, another block begins.
        blocks.pop();
        blocks.into_iter().map(|Block { id, kind, data }| (id, kind, data)).collect()
    }

    #[test]
    fn server_sent_events_are_read_however_they_are_cut() {
        let text = ": alive\nid: 1.2\n\nid: 1.3\r\ndata: {\"a\":\r\ndata:\"é\"}\r\n\r\nevent: end\ndata: x\n\n";
        let whole = blocks(&[text.as_bytes()]);
        let id = |id: &str| Some(id.to_owned());
        assert_eq!(
            whole,
            [
                (id("1.2"), String::new(), None),
                (id("1.3"), String::new(), id("{\"a\":\n\"é\"}")),
                (None, "end".to_owned(), id("x")),
            ]
        );
        for cut in 1..text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            assert_eq!(blocks(&[first, second]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_line_without_an_end_is_not_kept_for_ever() {
        let mut lines = Lines::default();
        let chunk = Bytes::from(vec![b'a'; LONGEST_LINE]);
        assert!(lines.feed(&chunk));
        assert!(!lines.feed(&Bytes::from_static(b"a")));
    }
}
