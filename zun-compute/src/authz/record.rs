//! The log: one JSON line a decision on stderr. A reader that stalls costs lines, never an answer.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use serde::Serialize;

use super::decision::{Decision, Phase, Policy};
use super::request::AuthzRequest;

/// Lines that wait for a slow reader.
const WAITING: usize = 1024;
/// How long the last lines are waited for.
const FLUSH: Duration = Duration::from_millis(500);
/// The most that is shown of what a client chose. What it was let to do is shown whole, and is bounded by the grant.
const SHOWN: usize = 300;

/// Takes log lines. Clones write to the same place.
#[derive(Clone)]
pub struct Record {
    lines: SyncSender<Item>,
    /// Since the last line that was written.
    lost: Arc<AtomicU64>,
    lost_in_all: Arc<AtomicU64>,
}

enum Item {
    Line(String),
    Flush(SyncSender<()>),
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: &'static str,
    message: &'a str,
    #[serde(rename = "host.name", skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    #[serde(rename = "grant.id", skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    lost_lines: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference over")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Record {
    /// Writes to stderr from a thread of its own.
    pub fn to_stderr() -> Self {
        Self::to(std::io::stderr())
    }

    pub(super) fn to(mut out: impl Write + Send + 'static) -> Self {
        let (lines, waiting) = sync_channel(WAITING);
        let started = thread::Builder::new().name("log".to_owned()).spawn(move || {
            write_all(&waiting, &mut out);
        });
        // Without a thread the receiver is gone and every line counts as lost; answers go on.
        drop(started);
        Self { lines, lost: Arc::default(), lost_in_all: Arc::default() }
    }

    pub(super) fn started(&self, policy: &Policy, socket: &str) {
        let why = format!("socket {socket}, API {}", policy.version);
        self.line(Line {
            host: Some(policy.host.as_str()),
            why: Some(why),
            ..plain("info", "zun-authz decides")
        });
    }

    pub(super) fn rotated(&self, policy: &Policy) {
        let why = format!("{} authorities", policy.cas.count());
        self.line(Line { why: Some(why), ..plain("info", "the authorities were read anew") });
    }

    /// Says why the plugin does not run.
    pub fn failed(&self, failure: &dyn std::error::Error) {
        self.line(Line {
            why: Some(zun_common::chain(failure)),
            ..plain("error", "zun-authz does not run")
        });
    }

    pub(super) fn trouble(&self, message: &str, cause: &dyn std::error::Error) {
        self.line(Line { why: Some(zun_common::chain(cause)), ..plain("warn", message) });
    }

    pub(super) fn decided(&self, phase: Phase, request: &AuthzRequest, decision: &Decision) {
        let (level, message, grant, why) = match decision {
            Decision::Local => ("debug", "allowed local", None, None),
            Decision::Granted(granted) => ("info", "allowed", Some(granted.id.as_str()), None),
            Decision::Refused(refusal, id) => {
                ("warn", "refused", id.as_deref(), Some(refusal.to_string()))
            }
        };
        let uri = match decision {
            Decision::Granted(_) => request.uri.as_str(),
            Decision::Local | Decision::Refused(..) => beginning(&request.uri),
        };
        self.line(Line {
            phase: Some(match phase {
                Phase::Request => "request",
                Phase::Answer => "answer",
            }),
            grant,
            method: Some(beginning(&request.method)),
            uri: Some(uri),
            why,
            ..plain(level, message)
        });
    }

    /// Waits a moment for the lines that are still to be written.
    pub fn finish(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Item::Flush(done)).is_ok() {
            written.recv_timeout(FLUSH).unwrap_or_default();
        }
    }

    /// How many lines a slow reader has cost.
    pub(super) fn lost_in_all(&self) -> u64 {
        self.lost_in_all.load(Ordering::Relaxed)
    }

    fn line(&self, mut line: Line<'_>) {
        line.lost_lines = self.lost.swap(0, Ordering::Relaxed);
        let Ok(text) = serde_json::to_string(&line) else { return };
        match self.lines.try_send(Item::Line(text)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(line.lost_lines + 1, Ordering::Relaxed);
                self.lost_in_all.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

fn plain<'a>(level: &'static str, message: &'a str) -> Line<'a> {
    Line {
        timestamp: Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
        level,
        message,
        host: None,
        phase: None,
        grant: None,
        method: None,
        uri: None,
        why: None,
        lost_lines: 0,
    }
}

fn beginning(text: &str) -> &str {
    text.get(..text.floor_char_boundary(SHOWN)).unwrap_or(text)
}

fn write_all(waiting: &Receiver<Item>, out: &mut impl Write) {
    for item in waiting {
        match item {
            // A log that cannot be written is no reason to stop deciding.
            Item::Line(line) => drop(writeln!(out, "{line}")),
            Item::Flush(done) => drop(done.send(())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;
    use crate::authz::decision::Refusal;
    use crate::authz::testing::usual;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a page").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_decision_is_one_line_even_where_the_client_sends_newlines() {
        let page = Page::default();
        let record = Record::to(page.clone());
        let request = AuthzRequest {
            method: "GET".to_owned(),
            uri: "/x\n\"y".to_owned() + &"é".repeat(1000),
            ..AuthzRequest::default()
        };
        let refused = Decision::Refused(Refusal::OtherCall, Some("g1".to_owned()));
        record.decided(Phase::Request, &request, &refused);
        record.finish();
        let text = String::from_utf8(page.0.lock().expect("a page").clone()).expect("text");
        assert_eq!(text.matches('\n').count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).expect("json");
        assert_eq!(line["grant.id"], "g1");
        assert_eq!(line["message"], "refused");
        assert_eq!(line["why"], "the grant is not good for this call");
        assert!(line["uri"].as_str().expect("text").starts_with("/x\n\"yé"));
        assert!(text.len() < 700, "{text}");
    }

    #[test]
    fn what_was_granted_is_shown_whole() {
        let page = Page::default();
        let record = Record::to(page.clone());
        let uri = format!("/archive?path={}/etc/x", "/.".repeat(2000));
        let request = AuthzRequest { method: "PUT".to_owned(), uri, ..AuthzRequest::default() };
        record.decided(Phase::Request, &request, &Decision::Granted(usual()));
        record.finish();
        let text = String::from_utf8(page.0.lock().expect("a page").clone()).expect("text");
        let line: serde_json::Value = serde_json::from_str(&text).expect("json");
        assert_eq!(line["uri"], request.uri);
    }

    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().unwrap_or_default();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_holds_nothing_up() {
        let (_never, stuck) = sync_channel(0);
        let record = Record::to(Stuck(stuck));
        for _ in 0..WAITING * 2 {
            record.decided(Phase::Request, &AuthzRequest::default(), &Decision::Local);
        }
        assert!(record.lost_in_all() >= WAITING as u64 - 1);
    }
}
