//! The calls that move a container's output or files directly between client and host. As for consoles, a raw
//! request is compared with the expected line.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::{Method, Mode};

/// The data that a grant gives access to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataKind {
    /// The container's output, read once or followed.
    Logs,
    /// The container's files: inspecting, copying out and exporting, and with read-write also copying in.
    Archive(Mode),
}

impl DataKind {
    /// The last part of the grant's URI.
    pub(super) const fn uri_suffix(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Archive(Mode::ReadOnly) => "archive?mode=ro",
            Self::Archive(Mode::ReadWrite) => "archive?mode=rw",
        }
    }

    pub(super) fn parse(uri_suffix: &str) -> Option<Self> {
        [Self::Logs, Self::Archive(Mode::ReadOnly), Self::Archive(Mode::ReadWrite)]
            .into_iter()
            .find(|data| data.uri_suffix() == uri_suffix)
    }

    /// The path of its calls after the container's ID. The client adds the query.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Logs => "/logs",
            Self::Archive(_) => "/archive",
        }
    }

    /// Whether this is exactly one of its calls. `tail` is the request target after the container's ID.
    pub(super) fn permits(self, method: &str, tail: &str) -> bool {
        match self {
            Self::Logs => {
                let parsed = tail.strip_prefix(LOGS_PREFIX).and_then(LogsQuery::parse);
                method == "GET" && parsed.is_some_and(|parsed| parsed.tail() == tail)
            }
            Self::Archive(_) if tail == EXPORT_PATH => method == "GET",
            Self::Archive(mode) => ArchiveCall::of(method, tail)
                .is_some_and(|(call, _path)| mode == Mode::ReadWrite || call != ArchiveCall::Write),
        }
    }
}

/// The path after the container's ID of the call that streams its root filesystem, without volumes.
pub const EXPORT_PATH: &str = "/export";

const LOGS_PREFIX: &str = "/logs?";
/// The end of a query for details.
const DETAILS: &str = "&details=1";

/// A Unix time. Zero means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LogTime {
    /// Whole seconds.
    pub seconds: u64,
    /// Nanoseconds within the second.
    pub nanoseconds: u32,
}

/// Selects a part of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the engine's call")]
pub struct LogsQuery {
    /// Keep reading new output until the container ends.
    pub follow: bool,
    /// Include stdout.
    pub stdout: bool,
    /// Include stderr.
    pub stderr: bool,
    /// Start each line with its time.
    pub timestamps: bool,
    /// Only output from this time on.
    pub since: LogTime,
    /// Only output before this time.
    pub until: LogTime,
    /// Only this many lines at the end; all if `None`.
    pub tail: Option<u32>,
    /// Start each line with the labels and variables that the log driver's options name.
    pub details: bool,
}

impl LogsQuery {
    /// The query to add to the address of the output.
    pub fn query(&self) -> String {
        self.tail().split_off(DataKind::Logs.path().len())
    }

    fn tail(&self) -> String {
        let Self { follow, stdout, stderr, timestamps, since, until, tail, details } = *self;
        let bit = u8::from;
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        // Not sent if false: agents of older versions refuse a query with it.
        let details = if details { DETAILS } else { "" };
        format!(
            "{LOGS_PREFIX}follow={}&stdout={}&stderr={}&timestamps={}&since={}&until={}&tail={tail}{details}",
            bit(follow),
            bit(stdout),
            bit(stderr),
            bit(timestamps),
            since,
            until,
        )
    }

    /// Parses a query loosely. The caller compares the result's text with the query.
    fn parse(query: &str) -> Option<Self> {
        let details = query.ends_with(DETAILS);
        let mut values = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1));
        let mut bits = [false; 4];
        for bit in &mut bits {
            *bit = values.next()? == "1";
        }
        let [follow, stdout, stderr, timestamps] = bits;
        let (since, until) = (LogTime::parse(values.next()?)?, LogTime::parse(values.next()?)?);
        let tail = match values.next()? {
            "all" => None,
            lines => Some(lines.parse().ok()?),
        };
        Some(Self { follow, stdout, stderr, timestamps, since, until, tail, details })
    }
}

impl LogTime {
    fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self::default());
        }
        let (seconds, nanoseconds) = text.split_once('.')?;
        Some(Self { seconds: seconds.parse().ok()?, nanoseconds: nanoseconds.parse().ok()? })
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return out.write_str("0");
        }
        write!(out, "{}.{:09}", self.seconds, self.nanoseconds)
    }
}

/// A call about files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveCall {
    /// Inspect the file or directory at a path.
    Stat,
    /// Read the file or directory as a tar stream.
    Read,
    /// Unpack a tar stream into the directory. Fails if a file would replace a directory, or the reverse.
    Write,
}

/// Maximum length of a path, in bytes.
const MAX_PATH: usize = 4096;

/// The bytes that are encoded in a path.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

impl ArchiveCall {
    const ALL: [Self; 3] = [Self::Stat, Self::Read, Self::Write];

    /// Returns the call and its path if this is exactly one. `tail` is the request target from `/archive` on.
    pub fn of(method: &str, tail: &str) -> Option<(Self, Vec<u8>)> {
        let mut calls = Self::ALL.into_iter().filter(|call| call.method().as_str() == method);
        calls.find_map(|call| {
            let path = tail.strip_prefix(call.prefix()).and_then(decode)?;
            (call.tail(&path) == tail).then_some((call, path))
        })
    }

    /// The HTTP method.
    pub const fn method(self) -> Method {
        match self {
            Self::Stat => Method::Head,
            Self::Read => Method::Get,
            Self::Write => Method::Put,
        }
    }

    /// The query to add to the address of the files.
    pub fn query(self, path: &[u8]) -> String {
        self.tail(path).split_off(DataKind::Archive(Mode::ReadOnly).path().len())
    }

    fn tail(self, path: &[u8]) -> String {
        format!("{}{}", self.prefix(), percent_encode(path, ENCODED))
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Stat | Self::Read => "/archive?path=",
            Self::Write => "/archive?noOverwriteDirNonDir=1&path=",
        }
    }
}

/// Decodes an absolute path; `None` if the text cannot be one.
fn decode(text: &str) -> Option<Vec<u8>> {
    let path: Vec<u8> = percent_decode_str(text).collect();
    let is_valid = path.first() == Some(&b'/') && path.len() <= MAX_PATH && !path.contains(&0);
    is_valid.then_some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: LogsQuery = LogsQuery {
        follow: true,
        stdout: true,
        stderr: false,
        timestamps: false,
        since: LogTime { seconds: 1_700_000_000, nanoseconds: 5 },
        until: LogTime { seconds: 0, nanoseconds: 0 },
        tail: Some(10),
        details: false,
    };

    #[test]
    fn a_logs_query_must_match_exactly() {
        let good = ALL.tail();
        assert_eq!(
            good,
            "/logs?follow=1&stdout=1&stderr=0&timestamps=0&since=1700000000.000000005&until=0&tail=10"
        );
        assert!(DataKind::Logs.permits("GET", &good));
        assert!(!DataKind::Logs.permits("POST", &good));
        let detailed = LogsQuery { details: true, ..ALL }.tail();
        assert_eq!(detailed, format!("{good}&details=1"));
        for bad in [
            good.replace("tail=10", "tail=010"),
            good.replace("tail=10", "tail=+10"),
            good.replace("follow=1", "follow=true"),
            good.replace("until=0", "until=00"),
            good.replace("stdout", "stderr"),
            format!("{good}&x=1"),
            format!("{good}&details=0"),
            format!("{good}&details=1&details=1"),
            format!("{good}&x=1&details=1"),
            format!("{good}#x"),
            good.replace("/logs?", "/logs/?"),
            "/json".to_owned(),
        ] {
            assert!(!DataKind::Logs.permits("GET", &bad), "{bad}");
        }
    }

    #[test]
    fn a_grant_for_files_permits_one_path_per_call_in_its_direction() {
        let (reads, writes) =
            (DataKind::Archive(Mode::ReadOnly), DataKind::Archive(Mode::ReadWrite));
        let path = "/srv/a b&path=/etc/ü".as_bytes();
        for call in ArchiveCall::ALL {
            let tail = call.tail(path);
            assert!(tail.ends_with("path=/srv/a%20b%26path%3D/etc/%C3%BC"), "{tail}");
            assert!(writes.permits(call.method().as_str(), &tail), "{tail}");
            assert_eq!(reads.permits(call.method().as_str(), &tail), call != ArchiveCall::Write);
        }
        for bad in [
            "/archive?path=etc",
            "/archive?path=",
            "/archive?path=/a&path=/b",
            "/archive?path=/a b",
            "/archive?path=/%61",
            "/archive?path=/%c3%bc",
            "/archive?path=/a%00",
            "/archive?path=/a%2",
            "/archive?path=/a;x",
            "/archive?noOverwriteDirNonDir=1&path=/a",
        ] {
            assert!(!writes.permits("GET", bad), "{bad}");
        }
        assert!(!writes.permits("PUT", "/archive?path=/a"));
    }

    #[test]
    fn a_grant_for_files_permits_the_export_in_its_only_form() {
        for mode in [Mode::ReadOnly, Mode::ReadWrite] {
            let files = DataKind::Archive(mode);
            assert!(files.permits("GET", EXPORT_PATH));
            for (method, bad) in [
                ("HEAD", EXPORT_PATH),
                ("PUT", EXPORT_PATH),
                ("GET", "/export?"),
                ("GET", "/export/"),
                ("GET", "/export?path=/etc"),
            ] {
                assert!(!files.permits(method, bad), "{method} {bad}");
            }
        }
        assert!(!DataKind::Logs.permits("GET", EXPORT_PATH));
    }

    proptest! {
        #[test]
        fn every_absolute_path_is_permitted(path in "/[^\\x00]{0,200}") {
            let tail = ArchiveCall::Read.tail(path.as_bytes());
            prop_assert!(DataKind::Archive(Mode::ReadOnly).permits("GET", &tail));
            prop_assert!(tail.bytes().all(|byte| byte.is_ascii_graphic()));
        }

        #[test]
        fn every_logs_query_is_permitted(
            bits in any::<[bool; 5]>(), since in any::<(u64, u32)>(), tail in any::<Option<u32>>(),
        ) {
            let since = LogTime { seconds: since.0, nanoseconds: since.1 % 1_000_000_000 };
            let [follow, stdout, stderr, timestamps, details] = bits;
            let parsed =
                LogsQuery { follow, stdout, stderr, timestamps, since, until: since, tail, details };
            prop_assert!(DataKind::Logs.permits("GET", &parsed.tail()));
        }

        #[test]
        fn a_permitted_random_target_has_no_unencoded_characters(tail in "/(logs|archive)\\?[ -~]{0,80}") {
            for data in [DataKind::Logs, DataKind::Archive(Mode::ReadWrite)] {
                for method in ["GET", "PUT", "HEAD"] {
                    if data.permits(method, &tail) {
                        prop_assert!(!tail.contains([' ', '#', ';']), "{}", tail);
                    }
                }
            }
        }
    }
}
