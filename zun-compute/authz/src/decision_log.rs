//! The decision log: one JSON line per decision on stderr. A slow reader loses lines but never delays an answer.

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

/// How many lines can wait for a slow reader.
const QUEUE_LENGTH: usize = 1024;
/// How long to wait at exit until the last lines are written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);
/// The maximum length of client-supplied text in a log line, in bytes. The target of a request that a grant permits is
/// logged whole, because the grant limits its length.
const MAX_CLIENT_TEXT: usize = 300;

/// Writes log lines on a separate thread. Clones write to the same output.
#[derive(Clone)]
pub struct DecisionLog {
    lines: SyncSender<Item>,
    /// Lines lost since the last line that was queued.
    lost: Arc<AtomicU64>,
    lost_total: Arc<AtomicU64>,
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

impl DecisionLog {
    /// Writes to stderr.
    pub fn to_stderr() -> Self {
        Self::to(std::io::stderr())
    }

    pub(super) fn to(mut out: impl Write + Send + 'static) -> Self {
        let (lines, waiting) = sync_channel(QUEUE_LENGTH);
        let started = thread::Builder::new().name("log".to_owned()).spawn(move || {
            write_all(&waiting, &mut out);
        });
        // If the thread cannot start, every line counts as lost and the plugin still answers.
        drop(started);
        Self { lines, lost: Arc::default(), lost_total: Arc::default() }
    }

    pub(super) fn started(&self, policy: &Policy, socket: &str) {
        let why = format!("socket {socket}, API {}", policy.version);
        self.line(Line {
            host: Some(policy.host.as_str()),
            why: Some(why),
            ..plain("info", "zun-authz is ready")
        });
    }

    pub(super) fn cas_reloaded(&self, policy: &Policy) {
        let why = format!("{} trusted CAs", policy.cas.count());
        self.line(Line { why: Some(why), ..plain("info", "reloaded the CA file") });
    }

    /// Logs why the plugin exits.
    pub fn failed(&self, failure: &dyn std::error::Error) {
        self.line(Line {
            why: Some(zun_common::chain(failure)),
            ..plain("error", "zun-authz cannot run")
        });
    }

    pub(super) fn warning(&self, message: &str, cause: &dyn std::error::Error) {
        self.line(Line { why: Some(zun_common::chain(cause)), ..plain("warn", message) });
    }

    pub(super) fn decision(&self, phase: Phase, request: &AuthzRequest, decision: &Decision) {
        let (level, message, grant, why) = match decision {
            Decision::Local => ("debug", "allowed local request", None, None),
            Decision::Granted(granted) => ("info", "allowed", Some(granted.id.as_str()), None),
            Decision::Refused(refusal, id) => {
                ("warn", "refused", id.as_deref(), Some(refusal.to_string()))
            }
        };
        let uri = match decision {
            Decision::Granted(_) => request.uri.as_str(),
            Decision::Local | Decision::Refused(..) => shortened(&request.uri),
        };
        self.line(Line {
            phase: Some(match phase {
                Phase::Request => "request",
                Phase::Answer => "answer",
            }),
            grant,
            method: Some(shortened(&request.method)),
            uri: Some(uri),
            why,
            ..plain(level, message)
        });
    }

    /// Waits until the queued lines are written, for at most half a second.
    pub fn finish(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Item::Flush(done)).is_ok() {
            written.recv_timeout(FLUSH_TIMEOUT).unwrap_or_default();
        }
    }

    /// How many lines were lost since the start because the reader was slow.
    pub(super) fn lost_total(&self) -> u64 {
        self.lost_total.load(Ordering::Relaxed)
    }

    fn line(&self, mut line: Line<'_>) {
        line.lost_lines = self.lost.swap(0, Ordering::Relaxed);
        let Ok(text) = serde_json::to_string(&line) else { return };
        match self.lines.try_send(Item::Line(text)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(line.lost_lines + 1, Ordering::Relaxed);
                self.lost_total.fetch_add(1, Ordering::Relaxed);
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

fn shortened(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_CLIENT_TEXT)).unwrap_or(text)
}

fn write_all(waiting: &Receiver<Item>, out: &mut impl Write) {
    for item in waiting {
        match item {
            // If stderr is closed, the plugin still decides.
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
    use crate::refusal::Refusal;
    use crate::testing::usual;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_decision_is_one_line_even_if_the_client_sends_newlines() {
        let output = Output::default();
        let log = DecisionLog::to(output.clone());
        let request = AuthzRequest {
            method: "GET".to_owned(),
            uri: "/x\n\"y".to_owned() + &"é".repeat(1000),
            ..AuthzRequest::default()
        };
        let refused = Decision::Refused(Refusal::CallNotGranted, Some("g1".to_owned()));
        log.decision(Phase::Request, &request, &refused);
        log.finish();
        let text = String::from_utf8(output.0.lock().expect("no panic").clone()).expect("text");
        assert_eq!(text.matches('\n').count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).expect("json");
        assert_eq!(line["grant.id"], "g1");
        assert_eq!(line["message"], "refused");
        assert_eq!(line["why"], "the grant does not permit this call");
        assert!(line["uri"].as_str().expect("text").starts_with("/x\n\"yé"));
        assert!(text.len() < 700, "{text}");
    }

    #[test]
    fn the_target_of_an_allowed_request_is_logged_whole() {
        let output = Output::default();
        let log = DecisionLog::to(output.clone());
        let uri = format!("/archive?path={}/etc/x", "/.".repeat(2000));
        let request = AuthzRequest { method: "PUT".to_owned(), uri, ..AuthzRequest::default() };
        log.decision(Phase::Request, &request, &Decision::Granted(usual()));
        log.finish();
        let text = String::from_utf8(output.0.lock().expect("no panic").clone()).expect("text");
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
    fn a_stuck_reader_loses_lines_but_does_not_block_the_plugin() {
        let (_never, stuck) = sync_channel(0);
        let log = DecisionLog::to(Stuck(stuck));
        for _ in 0..QUEUE_LENGTH * 2 {
            log.decision(Phase::Request, &AuthzRequest::default(), &Decision::Local);
        }
        assert!(log.lost_total() >= QUEUE_LENGTH as u64 - 1);
    }
}
