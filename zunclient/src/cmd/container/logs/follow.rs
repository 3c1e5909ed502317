//! `zun logs -f`: shows the log as it grows, and then the last records if Docker left them out.
//!
//! When a container ends, Docker may stop following before it has sent the last records. zun therefore reads the
//! log again and shows the records that it has not shown yet.

use zun_common::docker_stream::Stream;
use zun_common::grant::LogsQuery;
use zun_common::log_records::Piece;

use super::super::data::{self, DataChannel};
use super::records::{Answer, Shown, Written};
use crate::cmd::{Context, Failure, time};
use crate::console::ConsoleError;
use crate::out;
use crate::tty::screen::Screen;

/// Follows the log until the container ends.
pub(super) async fn follow(
    (context, container): (&Context, &str),
    query: &LogsQuery,
    screen: &Screen,
) -> Result<Written, Failure> {
    let channel = data::open_logs(context, container).await?;
    let mut shown = Shown::on(screen, query.timestamps);
    let query = LogsQuery { timestamps: true, ..*query };
    let mut seen = Seen::default();
    if query.tail == Some(0) {
        seen.note_end(&channel, &query).await?;
    }
    let mut answer = Answer::of(&channel, &query).await?;
    while let Some(piece) = answer.next().await? {
        seen.note(&piece);
        let written = shown.show(piece).await;
        if written.is_err() {
            return Ok(written);
        }
    }
    let Some(mut answer) = again(context, (container, &channel), &seen.rest(&query)).await else {
        return Ok(Ok(()));
    };
    let mut missing = seen.missing(&query);
    while let Some(piece) = answer.next().await? {
        if missing.has(&piece) {
            let written = shown.show(piece).await;
            if written.is_err() {
                return Ok(written);
            }
        }
    }
    Ok(Ok(()))
}

/// Reads the log again, with a new grant if the first one no longer works. Returns `None` if the container is gone or
/// the host refuses. If the log cannot be read for another reason, prints a notice and returns `None`.
async fn again(
    context: &Context,
    (container, channel): (&str, &DataChannel),
    query: &LogsQuery,
) -> Option<Answer> {
    let refusal = match Answer::of(channel, query).await {
        Ok(answer) => return Some(answer),
        Err(ConsoleError::Refused { .. }) => return None,
        Err(expired) => expired,
    };
    match data::open_logs(context, container).await {
        // A different address: another container may have the name now.
        Ok(other) if other.address != channel.address => None,
        Ok(other) => match Answer::of(&other, query).await {
            Ok(answer) => Some(answer),
            Err(ConsoleError::Refused { .. }) => None,
            Err(error) => {
                note_unread(container, &error);
                None
            }
        },
        Err(_gone)
            if context.api.show(container).await.is_err_and(|error| error.is_not_found()) =>
        {
            None
        }
        Err(_unreachable) => {
            note_unread(container, &refusal);
            None
        }
    }
}

fn note_unread(container: &str, error: &ConsoleError) {
    let why = zun_common::chain(error);
    out::notice(&format!("cannot check that the output of {container} is complete: {why}"));
}

/// What must be remembered of the records shown, in order to recognize the last of them in a second read.
#[derive(Debug, Default)]
struct Seen {
    first: Option<(Stream, String)>,
    last: Option<(Stream, String)>,
    /// For stdout and stderr, the newest timestamp and how many records have it. The records of a long line share one.
    newest: [Option<(String, u64)>; 2],
}

impl Seen {
    fn note(&mut self, piece: &Piece) {
        let Some(stamp) = &piece.stamp else { return };
        let [stdout, stderr] = &mut self.newest;
        let newest = if piece.stream == Stream::Stdout { stdout } else { stderr };
        match newest {
            Some((newest, count)) if newest == stamp => *count += 1,
            Some(_) | None => *newest = Some((stamp.clone(), 1)),
        }
        self.last = Some((piece.stream, stamp.clone()));
        self.first.get_or_insert_with(|| (piece.stream, stamp.clone()));
    }

    /// Records the last record of the log without showing it.
    async fn note_end(&mut self, channel: &DataChannel, query: &LogsQuery) -> Result<(), Failure> {
        let end = LogsQuery { follow: false, stdout: true, stderr: true, tail: Some(1), ..*query };
        let mut answer = Answer::of(channel, &end).await?;
        while let Some(piece) = answer.next().await? {
            self.note(&piece);
        }
        Ok(())
    }

    /// Returns the query for the records since the last one.
    fn rest(&self, query: &LogsQuery) -> LogsQuery {
        let since = self.last.as_ref().and_then(|(_, stamp)| time::stamp(stamp).ok());
        let since = since.unwrap_or_default().max(query.since);
        LogsQuery { follow: false, since, tail: None, ..*query }
    }

    fn missing(self, query: &LogsQuery) -> Missing {
        let Self { first, last, newest: [stdout, stderr] } = self;
        let Some(last) = last else { return Missing { after: None, known: 0, shows: true } };
        let (asked, newest) = match last.0 {
            Stream::Stdout => (query.stdout, stdout),
            Stream::Stderr => (query.stderr, stderr),
        };
        let known = match newest {
            // `--tail` may start in the middle of a long line. How many of its records came before is not known.
            Some(_) if query.tail.is_some() && first.as_ref() == Some(&last) => u64::MAX,
            Some((_, count)) if asked => count,
            Some(_) | None => 0,
        };
        Missing { after: Some((last, asked)), known, shows: false }
    }
}

/// Finds the records after the last one that was seen.
#[derive(Debug)]
struct Missing {
    /// The last record that was seen, and whether the query includes its stream.
    after: Option<((Stream, String), bool)>,
    /// How many records with its timestamp were seen and have not come again yet.
    known: u64,
    /// Whether the current record is new.
    shows: bool,
}

impl Missing {
    fn has(&mut self, piece: &Piece) -> bool {
        let (Some(((stream, last), asked)), Some(stamp)) = (&self.after, &piece.stamp) else {
            return self.shows;
        };
        let same_stream = piece.stream == *stream;
        if !asked {
            self.shows = stamp > last;
        } else if same_stream && stamp == last && self.known > 0 {
            self.known -= 1;
            self.shows = false;
        } else {
            if same_stream {
                self.known = 0;
            }
            self.shows = self.known == 0;
        }
        self.shows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: LogsQuery = LogsQuery {
        follow: true,
        stdout: true,
        stderr: true,
        timestamps: true,
        since: zun_common::grant::LogTime { seconds: 0, nanoseconds: 0 },
        until: zun_common::grant::LogTime { seconds: 0, nanoseconds: 0 },
        tail: None,
        details: false,
    };

    /// Parses records of stream, second and text: `o1a` is `a` on stdout at second 1.
    fn pieces(log: &str) -> Vec<Piece> {
        let piece = |record: &str| {
            let (head, text) = record.split_at(2);
            let stream = if head.starts_with('o') { Stream::Stdout } else { Stream::Stderr };
            let stamp =
                format!("2026-11-23T18:00:0{}.000000001Z", head.trim_start_matches(['o', 'e']));
            Piece { stream, stamp: Some(stamp), text: text.as_bytes().to_vec() }
        };
        log.split_whitespace().map(piece).collect()
    }

    /// Returns what is shown of `log` after `followed` was shown.
    fn missing(query: &LogsQuery, followed: &str, log: &str) -> String {
        let mut seen = Seen::default();
        for piece in &pieces(followed) {
            seen.note(piece);
        }
        let since = seen.last.clone().map(|(_, stamp)| stamp).unwrap_or_default();
        let mut missing = seen.missing(query);
        let asked = |piece: &Piece| match piece.stream {
            Stream::Stdout => query.stdout,
            Stream::Stderr => query.stderr,
        };
        let again = pieces(log).into_iter().filter(|piece| asked(piece));
        let again = again.filter(|piece| piece.stamp.as_ref() >= Some(&since));
        let rest = again.filter(|piece| missing.has(piece)).flat_map(|piece| piece.text);
        String::from_utf8(rest.collect()).expect("text")
    }

    #[test]
    fn only_records_not_shown_yet_are_shown() {
        for (followed, log, rest) in [
            ("", "o1a e2b", "ab"),
            ("o1a e2b", "o1a e2b", ""),
            ("o1a", "o1a e2b o3c", "bc"),
            ("o1a o1b", "o1a o1b o1c", "c"),
            ("o1a e1b o1c", "o1a e1b o1c e1d o1e", "de"),
            // A record of the other stream that comes earlier in the log was seen, though its timestamp is newer.
            ("o1a e3b o2c", "o1a e3b o2c o4d", "d"),
        ] {
            assert_eq!(missing(&ALL, followed, log), rest, "{followed} of {log}");
        }
    }

    #[test]
    fn following_with_tail_shows_the_last_records_too() {
        let last = LogsQuery { tail: Some(1), ..ALL };
        assert_eq!(missing(&last, "o2b", "o1a o2b o3c"), "c");
        assert_eq!(missing(&last, "o2b o3c", "o1a o2b o3c o3d"), "d");
        // It is not known how many records of the line came before.
        assert_eq!(missing(&last, "o2c", "o1a o2b o2c o3d"), "d");
        // The last record before following may be of the other stream.
        let errors = LogsQuery { tail: Some(0), stdout: false, ..ALL };
        assert_eq!(missing(&errors, "o2b", "e1a o2b e2c e3d"), "d");
    }
}
