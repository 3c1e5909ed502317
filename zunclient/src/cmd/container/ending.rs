//! How a session ends. The service says how its run ended; without its answer, zun uses the exit code from the host.

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;
use zun_common::api::v1::run::{Run, WaitRequest};
use zun_common::docker_errors::exit_code_of_start;
use zun_common::status::EndReason;

use crate::api::{ApiError, Client};
use crate::cmd::Failure;
use crate::console::Closing;
use crate::exit::Exit;
use crate::out;

/// How long one request waits for the end, in seconds.
const POLL: u64 = 25;
/// How long the service may take to answer after the host has reported the end, or has closed the console.
const ANSWER: Duration = Duration::from_secs(10);
/// The same after the link was lost. zun reports a lost link within 15 seconds in all.
const ANSWER_AFTER_LOSS: Duration = Duration::from_secs(2);
/// The first and the longest pause between requests while the service does not answer.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// Why zun does not exit with the command's own exit code.
#[derive(Debug)]
pub(super) enum Unfinished {
    /// The command never started. With `--rm`, `zun run` then removes the container.
    NeverBegan(Failure),
    /// The command may have started, and may still be running.
    MayRun(Failure),
}

impl From<Unfinished> for Failure {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::NeverBegan(failure) | Unfinished::MayRun(failure) => failure,
        }
    }
}

/// Returns how a run ended, once it has. Waits while the service does not answer, and fails if it refuses.
pub(super) async fn end_of(api: &Client, container: &str, run: i64) -> Result<Run, ApiError> {
    let ask = WaitRequest { run: Some(run), timeout: Some(POLL), begun: false, explain: true };
    let mut pause = FIRST_PAUSE;
    loop {
        match api.wait_for_run(container, &ask).await {
            Ok(waited) if waited.run.reason.is_some() => return Ok(waited.run),
            Ok(_not_ended) => {
                pause = FIRST_PAUSE;
                tokio::time::sleep(pause).await;
            }
            Err(error) if is_temporary(&error) => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Returns `true` if a later request may succeed.
pub(super) fn is_temporary(error: &ApiError) -> bool {
    matches!(error, ApiError::Unreachable { .. } | ApiError::NoAnswer { .. })
        || error.status().is_some_and(|status| status >= 500)
}

/// Waits for the service's answer after the console has ended. `is_lost` if the link was lost.
pub(super) async fn answered(
    end: impl Future<Output = Result<Run, ApiError>>,
    is_lost: bool,
) -> Option<Run> {
    let within = if is_lost { ANSWER_AFTER_LOSS } else { ANSWER };
    timeout(within, end).await.ok()?.ok()
}

/// Returns why the run never began; `None` if it did.
pub(super) fn never_began(name: &str, run: &Run) -> Option<Failure> {
    match run.reason? {
        EndReason::NotStarted => {
            let why = run.message.as_deref().filter(|why| !why.is_empty());
            let why = why.unwrap_or("the host could not start it").replace('\n', " ");
            let exit = exit_code(run.exit_code, &why);
            Some(Failure::with_exit(format!("{name}: {why}"), exit))
        }
        EndReason::Removed if run.started_at.is_none() => {
            let message = format!("{name} was removed before it was started");
            Some(Failure::with_exit(message, Exit::ZUN_FAILED))
        }
        EndReason::Removed
        | EndReason::Exited
        | EndReason::Signal
        | EndReason::OutOfMemory
        | EndReason::Restarted
        | EndReason::HostLost
        | EndReason::Unseen => None,
    }
}

/// Returns the exit code for a container that could not start. Docker may set 126 or 127 for other causes than the
/// command, so the reason must confirm it.
pub(super) fn exit_code(code: Option<i64>, reason: &str) -> Exit {
    match (code, exit_code_of_start(reason)) {
        (Some(126 | 127), Some(code)) => Exit::of_process(code),
        (_, _) => Exit::ZUN_FAILED,
    }
}

/// The process exited, and the host reported this code.
pub(super) fn exited(name: &str, code: i64, run: Option<&Run>) -> Result<Exit, Unfinished> {
    let Some(run) = run else { return Ok(Exit::of_process(code)) };
    if let Some(failure) = never_began(name, run) {
        return Err(Unfinished::NeverBegan(failure));
    }
    // If the engine runs the container again at once, the host's code may be that of the next run.
    let code = run.exit_code.unwrap_or(code);
    match (run.reason, &run.message) {
        (Some(EndReason::Restarted), _) => Err(Unfinished::MayRun(restarted(name, code))),
        (Some(EndReason::Removed), _) => {
            out::notice(&format!("{name} was removed; its process exited with {code}"));
            Ok(Exit::of_process(code))
        }
        (_, Some(why)) if code != 0 => {
            out::notice(&format!("{name}: {}", why.replace('\n', " ")));
            Ok(Exit::of_process(code))
        }
        (_, _) => Ok(Exit::of_process(code)),
    }
}

/// The console ended without an exit code. `why` if the link was lost.
pub(super) async fn without_exit_code(
    (api, container, name): (&Client, &str, &str),
    why: Option<String>,
    run: Option<&Run>,
) -> Result<Exit, Unfinished> {
    let lost = why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    let failed = |words: String| Unfinished::MayRun(Failure::with_exit(words, Exit::ZUN_FAILED));
    let Some(run) = run else {
        return Err(failed(still_open((api, container, name), &lost).await));
    };
    if let Some(failure) = never_began(name, run) {
        return Err(Unfinished::NeverBegan(failure));
    }
    match (run.reason, run.exit_code, why) {
        (Some(EndReason::Removed), _, _) => {
            Err(failed(format!("{name} was removed{lost}; its exit code is not known")))
        }
        (Some(EndReason::Restarted), code, _) => {
            Err(Unfinished::MayRun(restarted(name, code.unwrap_or_default())))
        }
        (_, Some(code), None) => exited(name, code, Some(run)),
        (_, Some(code), Some(why)) => {
            let next = format!("`zun logs {name}` shows it, unless the container was removed");
            Err(Unfinished::MayRun(link_lost(name, code, &why).advise(&next)))
        }
        (_, None, _) => {
            Err(failed(format!("the console of {name} ended{lost}; its exit code is not known")))
        }
    }
}

/// The run has not ended, as far as the service knows.
async fn still_open((api, container, name): (&Client, &str, &str), lost: &str) -> String {
    let unknown = format!("the console of {name} ended{lost}; its exit code is not known");
    match timeout(ANSWER_AFTER_LOSS, api.show(container)).await {
        Ok(Ok(now)) => format!(
            "the console of {name} ended{lost}; the container is {}; reattach with `zun attach {name}`",
            now.status
        ),
        Ok(Err(error)) if error.is_not_found() => {
            format!("{name} was removed{lost}; its exit code is not known")
        }
        Ok(Err(error)) => format!("{unknown}: {}", zun_common::chain(&error)),
        Err(_elapsed) => format!("{unknown}; `zun show {name}` shows whether it still runs"),
    }
}

fn restarted(name: &str, code: i64) -> Failure {
    let message =
        format!("{name} exited with {code} and was restarted; reattach with `zun attach {name}`");
    Failure::with_exit(message, failed_with(code))
}

/// The process exited, but part of its output is missing. zun never exits with 0 then, so scripts see no success.
pub(super) fn link_lost(name: &str, code: i64, why: &str) -> Failure {
    let message = format!(
        "lost the link to {name} ({why}); it exited with {code}, but the end of its output is missing"
    );
    Failure::with_exit(message, failed_with(code))
}

/// The host ended the session of `name`. `next` is what the user can do if something may still be running.
pub(super) fn closed(name: &str, closing: &Closing, next: &str) -> Failure {
    let next = if closing.may_run { format!("; {next}") } else { String::new() };
    let message = format!("{name}: {}{next}", closing.why);
    Failure::with_exit(message, closing.code.map_or(Exit::ZUN_FAILED, failed_with))
}

fn failed_with(code: i64) -> Exit {
    if code == 0 { Exit::ZUN_FAILED } else { Exit::of_process(code) }
}
