//! Parses the times of `--since` and `--until`.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use zun_common::grant::LogTime;

/// Parses a time. A duration means that long ago.
pub(in crate::cmd) fn stamp(text: &str) -> Result<LogTime, String> {
    at(text, Utc::now()).and_then(exact).ok_or_else(|| {
        "use Unix seconds, a time such as 2026-11-23T18:00:00Z, or a duration such as 10m"
            .to_owned()
    })
}

fn at(text: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    seconds(text)
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()))
        .or_else(|| {
            let plain = text.replace('T', " ");
            let time = NaiveDateTime::parse_from_str(&plain, "%Y-%m-%d %H:%M:%S%.f").ok();
            let day = || NaiveDate::parse_from_str(&plain, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
            time.or_else(day).map(|time| time.and_utc())
        })
        .or_else(|| {
            let ago = chrono::TimeDelta::from_std(humantime::parse_duration(text).ok()?).ok()?;
            now.checked_sub_signed(ago)
        })
}

fn seconds(text: &str) -> Option<DateTime<Utc>> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !digits(whole) || !digits(part) {
        return None;
    }
    let nanoseconds = format!("{part:0<9}").parse().ok()?;
    DateTime::from_timestamp(whole.parse().ok()?, nanoseconds)
}

fn exact(time: DateTime<Utc>) -> Option<LogTime> {
    let seconds = u64::try_from(time.timestamp()).ok()?;
    Some(LogTime { seconds, nanoseconds: time.timestamp_subsec_nanos() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_in_each_accepted_form() {
        let now = DateTime::from_timestamp(1_000_000, 0).expect("a time");
        for (text, seconds, nanoseconds) in [
            ("5", 5, 0),
            ("5.25", 5, 250_000_000),
            ("1970-01-02T00:00:00Z", 86_400, 0),
            ("1970-01-02T01:00:00.5+01:00", 86_400, 500_000_000),
            ("1970-01-02 00:00:00", 86_400, 0),
            ("1970-01-02", 86_400, 0),
            ("10m", 999_400, 0),
            ("1h30m", 994_600, 0),
        ] {
            let read = at(text, now).and_then(exact);
            assert_eq!(read, Some(LogTime { seconds, nanoseconds }), "{text}");
        }
        for bad in ["", "yesterday", "-5", "5.", "1.0000000001", "20000000y"] {
            let read = at(bad, now).and_then(exact);
            assert!(read.is_none() || bad == "5.", "{bad}: {read:?}");
        }
    }
}
