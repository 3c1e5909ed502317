//! The field `status_detail`, with Docker's and OpenStack Zun's wording.

use chrono::{NaiveDateTime, TimeDelta};
use zun_common::status::{Health, Status};

use crate::db::container::Record;

/// Returns the detail at this time.
pub(super) fn status_detail(record: &Record, now: NaiveDateTime) -> Option<String> {
    let since = |time: Option<NaiveDateTime>| time.map(|time| rounded_duration(now - time));
    match record.status {
        Status::Running => since(record.started_at).map(|up| match record.live.health {
            Some(Health::Starting) => format!("Up {up} (health: starting)"),
            Some(health) => format!("Up {up} ({health})"),
            None => format!("Up {up}"),
        }),
        Status::Paused => since(record.started_at).map(|up| format!("Up {up} (paused)")),
        Status::Stopped => {
            let code = record.exit_code?;
            Some(match since(record.finished_at) {
                // OpenStack Zun has a trailing space.
                Some(ago) => format!("Exited({code}) {ago} ago "),
                None => format!("Exited({code})"),
            })
        }
        Status::Created => Some("Created".to_owned()),
        Status::Restarting => Some("Restarting".to_owned()),
        Status::Dead => Some("Dead".to_owned()),
        Status::Creating
        | Status::Rebuilding
        | Status::Deleting
        | Status::Deleted
        | Status::Error
        | Status::Unknown => record.status_detail.clone(),
    }
}

fn rounded_duration(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "min"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_use_the_largest_whole_unit() {
        for (seconds, words) in [
            (-5, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 min"),
            (500, "8 mins"),
            (3 * 3600 + 5, "3 hours"),
            (2 * 86_400, "2 days"),
        ] {
            assert_eq!(rounded_duration(TimeDelta::seconds(seconds)), words);
        }
    }
}
