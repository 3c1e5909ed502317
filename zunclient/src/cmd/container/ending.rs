//! What the end of a console means. Exit, restart and removal look alike on the wire, so zun asks the service which it
//! was. If the service does not answer, zun uses the exit code from the host, if there is one.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use zun_common::api::v1::container::Container;
use zun_common::status::{Status, TaskState};

use super::goal::{Goal, GoalState};
use super::session::{Before, Unfinished};
use super::starting::{failed, has_failed, is_news};
use crate::api::{ApiError, Client};
use crate::cmd::Failure;
use crate::exit::Exit;

/// How long to wait until the service has recorded the end. It judges the next command by the recorded status, and only
/// it knows the reason of the end, such as out of memory.
const HEARD: Duration = Duration::from_secs(5);

/// The same, but longer: the container had run before, or its restart policy runs it again, so the recorded end may
/// belong to another run. A slow engine reports an end late: after it answered the start, or after the next run began.
const HEARD_WHICH: Duration = Duration::from_secs(15);
const KILLED: i64 = 137;

/// How long after the end its reason may arrive.
const LATE_REASON: Duration = Duration::from_secs(1);

/// How long to wait for the service after the link was lost. zun reports a lost link within 15 seconds in all.
const BROKEN: Duration = Duration::from_secs(2);

/// How long to wait for the service's exit code if the host sent none.
const ASKED: Duration = Duration::from_secs(15);

/// The process exited with this code.
pub(super) async fn exited(
    api: &Client,
    container: &Container,
    code: i64,
    before: Before,
) -> Result<Exit, Unfinished> {
    let by_policy = policy_runs_again(container, code);
    let had_run = has_ended(container);
    let heard = if by_policy || had_run { HEARD_WHICH } else { HEARD };
    let asked = told(api, container, before, (by_policy, heard));
    let now = match timeout(heard * 2, asked).await {
        Ok(Ok(now)) => now,
        Ok(Err(error)) if error.is_not_found() => return gone(container, code, before),
        Ok(Err(_)) | Err(_) => return Ok(Exit::of_process(code)),
    };
    if has_ended(&now) && is_of_former_run(&now, container) {
        return Ok(Exit::of_process(code));
    }
    let unheard = matches!(now.status, Status::Running | Status::Paused);
    if runs_again(&now, before) || (by_policy && unheard) {
        return Err(Unfinished::Later(restarted(&now, code)));
    }
    let never_ran = matches!(now.exit_code, Some(125..=128) | None) && before.bytes == 0;
    if never_ran && has_failed(&now) {
        return Err(Unfinished::NeverBegan(failed(&now)));
    }
    if now.status == Status::Error && code == 0 {
        return Err(Unfinished::Later(failed(&now)));
    }
    let now = if code == KILLED { Box::pin(why_killed(api, now)).await } else { now };
    if let Some(why) = now.status_reason.filter(|why| code != 0 && !why.is_empty()) {
        crate::out::notice(&format!("{}: {}", container.name, why.replace('\n', " ")));
        return Ok(Exit::of_process(code));
    }
    if now.status == Status::Deleted {
        return gone(container, code, before);
    }
    Ok(plain(container, code, before))
}

fn has_ended(container: &Container) -> bool {
    Goal::Exited.state_in(container.status) == GoalState::Reached
}

/// Whether its restart policy runs it again after this code, if nobody stopped it.
fn policy_runs_again(container: &Container, code: i64) -> bool {
    let policy = container.restart_policy.as_ref();
    policy.is_some_and(|policy| match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => code != 0,
        _ => false,
    })
}

/// Waits until the service has recorded this end, or the start of the next run. If that takes longer than `within`,
/// returns the newest state.
async fn told(
    api: &Client,
    was: &Container,
    mut before: Before,
    (by_policy, within): (bool, Duration),
) -> Result<Container, ApiError> {
    let id = was.uuid.to_string();
    let until = Instant::now() + within;
    let mut now = if by_policy {
        api.show(&id).await?
    } else {
        api.wait_for(&id, &Goal::Exited.decisive(), within).await?
    };
    loop {
        let has_ended = has_ended(&now) && !is_of_former_run(&now, was);
        let left = until.saturating_duration_since(Instant::now());
        if has_ended || runs_again(&now, before) || left.is_zero() {
            return Ok(now);
        }
        if by_policy && now.status == Status::Running {
            before.began = before.began.or(now.started_at);
        }
        now = api.wait_for_news(&now, &[Status::Deleted], left).await?;
    }
}

/// Returns `true` if `now` is still the state from before this run. The host reports an end at once, so the service may
/// not have recorded the start yet.
fn is_of_former_run(now: &Container, was: &Container) -> bool {
    now.status == was.status && now.started_at == was.started_at && !is_news(now, was)
}

/// Waits for the reason of a kill. The engine reports an out-of-memory kill a moment after the end.
async fn why_killed(api: &Client, now: Container) -> Container {
    if now.status != Status::Stopped || now.status_reason.is_some() {
        return now;
    }
    let asked = api.wait_for_news(&now, &[Status::Deleted], LATE_REASON);
    match timeout(LATE_REASON * 2, asked).await {
        Ok(Ok(later)) if later.status == Status::Stopped => later,
        Ok(Ok(_) | Err(_)) | Err(_) => now,
    }
}

/// The container is gone. With auto-remove that is expected; otherwise somebody removed it.
fn gone(container: &Container, code: i64, before: Before) -> Result<Exit, Unfinished> {
    let Before { began, bytes, waited } = before;
    // If a container is removed before its first run, the engine answers the wait as if it had exited with 0.
    if waited && began.is_none() && bytes == 0 && code == 0 {
        let message = format!("{} was removed before it was started", container.name);
        return Err(Unfinished::Later(Failure::with_exit(message, Exit::ZUN_FAILED)));
    }
    if container.auto_remove {
        return Ok(plain(container, code, before));
    }
    crate::out::notice(&format!("{} was removed; its process exited with {code}", container.name));
    Ok(Exit::of_process(code))
}

/// Returns the exit code of the process. Prints a notice if the command could not be run.
fn plain(container: &Container, code: i64, before: Before) -> Exit {
    let Some(why) = why_not_run(code, before) else { return Exit::of_process(code) };
    let command = container.command.as_ref().and_then(|message| message.first());
    let command = command.map_or("the image's command", String::as_str);
    crate::out::notice(&format!(
        "{}: cannot run `{command}`: {why} (exit code {code})",
        container.name
    ));
    Exit::of_process(code)
}

/// Returns why the command could not be run, as far as its exit code says. A process that began or printed something
/// has chosen the code itself.
const fn why_not_run(code: i64, before: Before) -> Option<&'static str> {
    match (before, code) {
        (Before { began: None, bytes: 0, .. }, 127) => Some("not found"),
        (Before { began: None, bytes: 0, .. }, 126) => Some("not executable"),
        (_, _) => None,
    }
}

fn runs_again(now: &Container, before: Before) -> bool {
    let rebooting = now.task_state == Some(TaskState::Rebooting);
    match now.status {
        Status::Restarting => true,
        Status::Running | Status::Paused => {
            rebooting || before.began.is_some_and(|began| now.started_at > Some(began))
        }
        Status::Stopped => rebooting,
        Status::Creating
        | Status::Created
        | Status::Rebuilding
        | Status::Deleting
        | Status::Deleted
        | Status::Dead
        | Status::Error
        | Status::Unknown => false,
    }
}

fn restarted(now: &Container, code: i64) -> Failure {
    let name = &now.name;
    let message =
        format!("{name} exited with {code} and was restarted; come back with `zun attach {name}`");
    Failure::with_exit(message, if code == 0 { Exit::ZUN_FAILED } else { Exit::of_process(code) })
}

/// The process exited, but part of its output is missing. zun never exits with 0 then, so scripts see no success.
pub(super) fn torn(name: &str, code: i64, why: &str) -> Failure {
    let message = format!(
        "lost the link to {name} ({why}); it exited with {code}, but the end of its output is missing"
    );
    Failure::with_exit(message, if code == 0 { Exit::ZUN_FAILED } else { Exit::of_process(code) })
}

/// The console ended without an exit code.
pub(super) async fn cut(
    api: &Client,
    container: &Container,
    why: Option<String>,
) -> Result<Exit, Failure> {
    let id = container.uuid.to_string();
    // If the link was not lost, the process has most likely ended, and the service soon records that.
    let within = if why.is_some() { BROKEN } else { ASKED };
    let broke = why.clone();
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    let name = &container.name;
    let now = match timeout(within + BROKEN, api.wait_for(&id, &Goal::Exited.decisive(), within))
        .await
    {
        Ok(Ok(now)) if now.status == Status::Deleted => return Err(removed(name, &why)),
        Ok(Ok(now)) => now,
        Ok(Err(error)) if error.is_not_found() => return Err(removed(name, &why)),
        Ok(Err(error)) => {
            let message = format!("the console of {name} ended{why}; its exit code is not known");
            return Err(Failure { exit: Some(Exit::ZUN_FAILED), ..unknown(&message, &error) });
        }
        Err(_elapsed) => {
            let message = format!("the console of {name} ended{why}; its exit code is not known");
            return Err(Failure::with_exit(message, Exit::ZUN_FAILED));
        }
    };
    match (now.status, now.exit_code) {
        (Status::Stopped, Some(code)) => match broke {
            Some(why) => Err(torn(name, code, &why)),
            None => Ok(Exit::of_process(code)),
        },
        (Status::Error | Status::Dead, _) => Err(failed(&now)),
        (Status::Restarting, _) => Err(restarted(&now, now.exit_code.unwrap_or_default())),
        (status, _) => {
            let message = format!(
                "the console of {name} ended{why}; the container is {status}; come back with `zun attach {name}`"
            );
            Err(Failure::with_exit(message, Exit::ZUN_FAILED))
        }
    }
}

fn removed(name: &str, why: &str) -> Failure {
    Failure::with_exit(
        format!("{name} was removed{why}; its exit code is not known"),
        Exit::ZUN_FAILED,
    )
}

fn unknown(message: &str, error: &ApiError) -> Failure {
    Failure::new(format!("{message}: {}", zun_common::chain(error)))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, NaiveDateTime};

    use super::*;

    const NEVER: Option<NaiveDateTime> = None;

    fn before(began: Option<NaiveDateTime>, bytes: u64) -> Before {
        Before { began, bytes, waited: false }
    }

    #[test]
    fn only_a_process_that_never_began_and_printed_nothing_could_not_be_run() {
        assert_eq!(why_not_run(127, before(NEVER, 0)), Some("not found"));
        assert_eq!(why_not_run(126, before(NEVER, 0)), Some("not executable"));
        let began = DateTime::from_timestamp(1, 0).map(|time| time.naive_utc());
        for code in [126, 127] {
            assert_eq!(why_not_run(code, before(began, 0)), None);
            assert_eq!(why_not_run(code, before(NEVER, 1)), None);
        }
        assert_eq!(why_not_run(125, before(NEVER, 0)), None);
    }
}
