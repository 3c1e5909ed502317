//! The metrics of the gate since its start, in the `OpenMetrics` text format. No label contains an ID.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::warn;

/// The upper bounds of the delay of acknowledgements, in milliseconds.
const BOUNDS: [u64; 8] = [5, 20, 50, 100, 250, 1000, 5000, 30_000];
/// The shortest time between two log lines about the same limit.
const LOGGED: Duration = Duration::from_mins(1);

/// A limit of the settings that refuses clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The sessions of the host.
    Sessions,
    /// The clients of one session.
    Attachments,
    /// The clients of one session with the same grant.
    GrantAttachments,
    /// The sessions that are being opened.
    Openings,
    /// The connections that have not sent a request.
    Handshakes,
    /// The sessions of one project.
    ProjectSessions,
    /// The clients of one project.
    ProjectAttachments,
}

impl Limit {
    const ALL: [Self; 7] = [
        Self::Sessions,
        Self::Attachments,
        Self::GrantAttachments,
        Self::Openings,
        Self::Handshakes,
        Self::ProjectSessions,
        Self::ProjectAttachments,
    ];

    /// Its name, as in the settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sessions => "limits.sessions",
            Self::Attachments => "limits.attachments",
            Self::GrantAttachments => "grant_attachments",
            Self::Openings => "openings",
            Self::Handshakes => "handshakes",
            Self::ProjectSessions => "limits.project_sessions",
            Self::ProjectAttachments => "limits.project_attachments",
        }
    }

    /// The message for a client that is refused, in at most 123 bytes.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Sessions => {
                "the host has reached limits.sessions of zun-console: end sessions, or ask the administrator to raise it"
            }
            Self::Attachments => {
                "the session has reached limits.attachments of zun-console: end other clients, or ask the administrator to raise it"
            }
            Self::GrantAttachments => {
                "this link or grant has as many clients of the session as it may have: end some, or ask for another link"
            }
            Self::Openings => {
                "the console gate is opening too many sessions: try again in a few seconds"
            }
            Self::Handshakes => {
                "too many connections have sent no request: try again in a few seconds"
            }
            Self::ProjectSessions => {
                "the project has reached limits.project_sessions of zun-console: end sessions, or ask the administrator to raise it"
            }
            Self::ProjectAttachments => {
                "the project has reached limits.project_attachments of zun-console: end some, or ask the administrator to raise it"
            }
        }
    }
}

/// The counts. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Stats(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    stdin: AtomicU64,
    output: AtomicU64,
    resumes: AtomicU64,
    gaps: AtomicU64,
    /// How many clients each limit has refused, and when that was logged last.
    refused: [AtomicU64; Limit::ALL.len()],
    logged: Mutex<[Option<Instant>; Limit::ALL.len()]>,
    /// Acknowledgements by their delay: one count for each bound, and one for the rest.
    delays: [AtomicU64; BOUNDS.len() + 1],
    /// All delays together, in microseconds.
    delay: AtomicU64,
}

/// The gauges, which are read when the metrics are requested.
#[derive(Debug, Clone, Copy, Default)]
pub struct Gauges {
    /// Containers and execs to which the gate is attached.
    pub sessions: usize,
    /// Clients that are connected.
    pub viewers: usize,
    /// Disconnected clients that can still resume.
    pub away: usize,
    /// Memory in use for output and input, in bytes.
    pub memory: u64,
    /// Space in use on disk, in bytes.
    pub disk: u64,
    /// How many recordings there are, and the space that they take, in bytes.
    pub recordings: (usize, u64),
    /// How often the output of a session could not get more memory, because the host or its project has reached its limit.
    pub denied: [u64; 2],
}

impl Stats {
    /// A client has sent this much stdin.
    pub(crate) fn received(&self, bytes: usize) {
        add(&self.0.stdin, bytes as u64);
    }

    /// This much output was sent to a client.
    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.0.output, bytes as u64);
    }

    /// A client has come back.
    pub(crate) fn resumed(&self) {
        add(&self.0.resumes, 1);
    }

    /// A client was too slow, and missed output.
    pub(crate) fn skipped(&self) {
        add(&self.0.gaps, 1);
    }

    /// A client has acknowledged output this long after it was sent.
    pub(crate) fn acknowledged(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        let place = BOUNDS.iter().position(|bound| millis <= *bound).unwrap_or(BOUNDS.len());
        if let Some(count) = self.0.delays.get(place) {
            add(count, 1);
        }
        add(&self.0.delay, u64::try_from(delay.as_micros()).unwrap_or_default());
    }

    /// A limit has refused a client. This is logged at a limited rate.
    pub(crate) fn refused(&self, limit: Limit) {
        let place = limit as usize;
        if let Some(count) = self.0.refused.get(place) {
            add(count, 1);
        }
        let now = Instant::now();
        let mut logged = self.0.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = logged.get_mut(place) else { return };
        if last.is_none_or(|last| now.saturating_duration_since(last) >= LOGGED) {
            *last = Some(now);
            warn!(limit = limit.name(), "a client was refused: {}", limit.reason());
        }
    }

    /// All metrics as text.
    pub fn text(&self, gauges: &Gauges) -> String {
        let Gauges { sessions, viewers, away, memory, disk, recordings, denied } = *gauges;
        let mut out = String::new();
        for (name, help, value) in [
            ("sessions", "Containers and execs to which the gate is attached", sessions as u64),
            ("viewers", "Connected clients", viewers as u64),
            ("viewers_away", "Disconnected clients that can still resume", away as u64),
            ("memory_bytes", "Memory in use for output and input", memory),
            ("disk_bytes", "Disk space in use for output", disk),
            ("recordings", "Recordings of sessions", recordings.0 as u64),
            ("recording_bytes", "Disk space in use for recordings", recordings.1),
        ] {
            describe(&mut out, (name, help), "gauge");
            line(&mut out, name, value);
        }
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { stdin, output, resumes, gaps, refused, delays, delay, logged: _ } = &*self.0;
        for (name, help, count) in [
            ("stdin_bytes", "Input from clients", stdin),
            ("output_bytes", "Output to clients", output),
            ("resumes", "Sessions resumed by their clients", resumes),
            ("gaps", "Gaps in the output of clients that were too slow", gaps),
        ] {
            describe(&mut out, (name, help), "counter");
            line(&mut out, &format!("{name}_total"), read(count));
        }
        describe(&mut out, ("refused", "Clients that a limit has refused"), "counter");
        for (limit, count) in Limit::ALL.iter().zip(refused) {
            line(&mut out, &format!("refused_total{{limit=\"{}\"}}", limit.name()), read(count));
        }
        let help = "Times that a session got no more memory because of a limit";
        describe(&mut out, ("memory_denied", help), "counter");
        for (limit, count) in ["limits.memory", "limits.project_memory"].iter().zip(denied) {
            line(&mut out, &format!("memory_denied_total{{limit=\"{limit}\"}}"), count);
        }
        let help = "Time from sending output to its acknowledgement";
        describe(&mut out, ("ack_delay_seconds", help), "histogram");
        let mut sum = 0;
        let bounds =
            BOUNDS.iter().map(|millis| format!("{}", Duration::from_millis(*millis).as_secs_f64()));
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(delays) {
            sum += read(count);
            line(&mut out, &format!("ack_delay_seconds_bucket{{le=\"{bound}\"}}"), sum);
        }
        line(&mut out, "ack_delay_seconds_count", sum);
        let seconds = Duration::from_micros(read(delay)).as_secs_f64();
        line(&mut out, "ack_delay_seconds_sum", seconds);
        out.push_str("# EOF\n");
        out
    }
}

fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

fn describe(out: &mut String, (name, help): (&str, &str), kind: &str) {
    write!(out, "# TYPE zun_console_{name} {kind}\n# HELP zun_console_{name} {help}.\n")
        .unwrap_or_default();
}

fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    writeln!(out, "zun_console_{name} {value}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_text_and_a_reason_fits_into_a_close() {
        let stats = Stats::default();
        stats.acknowledged(Duration::from_millis(30));
        stats.acknowledged(Duration::from_secs(99));
        stats.refused(Limit::Attachments);
        let text = stats.text(&Gauges { sessions: 2, denied: [0, 7], ..Gauges::default() });
        for line in [
            "zun_console_sessions 2",
            "zun_console_refused_total{limit=\"limits.attachments\"} 1",
            "zun_console_memory_denied_total{limit=\"limits.project_memory\"} 7",
            "zun_console_ack_delay_seconds_bucket{le=\"0.02\"} 0",
            "zun_console_ack_delay_seconds_bucket{le=\"0.05\"} 1",
            "zun_console_ack_delay_seconds_bucket{le=\"+Inf\"} 2",
            "zun_console_ack_delay_seconds_sum 99.03",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(text.ends_with("# EOF\n"));
        for limit in Limit::ALL {
            assert!(limit.reason().len() <= 123, "{}", limit.name());
        }
    }
}
