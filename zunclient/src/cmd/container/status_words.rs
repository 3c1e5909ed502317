//! What lists show for a container's status, in Docker's words.

use chrono::{NaiveDateTime, TimeDelta};
use zun_common::api::v1::container::Container;
use zun_common::status::{Health, Status, TaskState};

use crate::out::Cell;

/// Returns the status at this time, such as `Up 2 minutes (healthy)`, in its colour.
pub(super) fn status_cell(container: &Container, now: NaiveDateTime) -> Cell {
    Cell::of_status(status_words(container, now), container.status, container.health)
}

/// Returns the status at this time, such as `Exited (3) 5 minutes ago`. An operation in progress is named, such as
/// `Up 2 minutes, stopping`.
pub(super) fn status_words(container: &Container, now: NaiveDateTime) -> String {
    let words = words(container, now);
    match container.task_state.and_then(|task| task_words(task, container.status)) {
        Some(task) => format!("{words}, {task}"),
        None => words,
    }
}

fn words(container: &Container, now: NaiveDateTime) -> String {
    let since = |time: Option<NaiveDateTime>| time.map(|time| duration_words(now - time));
    let reason = container.status_reason.as_deref().filter(|reason| !reason.is_empty());
    match container.status {
        Status::Running | Status::Paused => {
            let up = since(container.started_at).map_or("Up".to_owned(), |up| format!("Up {up}"));
            match (container.status, container.health) {
                (Status::Paused, _) => format!("{up} (Paused)"),
                (_, Some(Health::Starting)) => format!("{up} (health: starting)"),
                (_, Some(health)) => format!("{up} ({health})"),
                (_, None) => up,
            }
        }
        Status::Stopped | Status::Restarting => {
            let word = if container.status == Status::Stopped { "Exited" } else { "Restarting" };
            let code = container.exit_code.map(|code| format!(" ({code})")).unwrap_or_default();
            let ago = since(container.finished_at).map(|ago| format!(" {ago} ago"));
            format!("{word}{code}{}", ago.unwrap_or_default())
        }
        Status::Error => reason.map_or("Error".to_owned(), |reason| format!("Error: {reason}")),
        Status::Creating
        | Status::Created
        | Status::Rebuilding
        | Status::Deleting
        | Status::Deleted
        | Status::Dead
        | Status::Unknown => container.status.to_string(),
    }
}

/// Returns the words for an operation in progress; `None` if the status already says it.
fn task_words(task: TaskState, status: Status) -> Option<String> {
    let words = task.as_str().trim_start_matches("container_").replace('_', " ");
    let says = status.as_str().to_lowercase() == words;
    (!says).then_some(if task == TaskState::ImagePulling {
        "pulling its image".to_owned()
    } else {
        words
    })
}

/// Returns how long ago something was, in Docker's words.
pub(in crate::cmd) fn ago_words(time: TimeDelta) -> String {
    format!("{} ago", duration_words(time))
}

/// Returns a rounded duration in Docker's words.
pub(in crate::cmd) fn duration_words(time: TimeDelta) -> String {
    let seconds = time.num_seconds().max(0);
    let minutes = seconds / 60;
    let hours = (seconds + 1800) / 3600;
    let days = hours / 24;
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".to_owned(),
        (.., ..48) => format!("{hours} hours"),
        _ if days < 14 => format!("{days} days"),
        _ if days < 60 => format!("{} weeks", days / 7),
        _ if days < 730 => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_dockers() {
        const HOUR: i64 = 3600;
        for (seconds, words) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (59 * 60, "59 minutes"),
            (HOUR, "About an hour"),
            (2 * HOUR, "2 hours"),
            (47 * HOUR, "47 hours"),
            (48 * HOUR, "2 days"),
            (13 * 24 * HOUR, "13 days"),
            (14 * 24 * HOUR, "2 weeks"),
            (60 * 24 * HOUR, "2 months"),
            (800 * 24 * HOUR, "2 years"),
        ] {
            assert_eq!(duration_words(TimeDelta::seconds(seconds)), words, "{seconds}");
        }
    }
}
