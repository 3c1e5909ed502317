//! Creates and starts a container, and reports the outcome.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use zun_common::api::v1::console::{AttachRequest, ConsoleEndpoint};
use zun_common::api::v1::container::{Container, CreateContainer};
use zun_common::docker_errors::exit_code_of_start;
use zun_common::status::{Goal, GoalState, Status, TaskState};

use super::ending::exit_code;
use super::goal::POLL_TIMEOUT;
use crate::api::{Absence, ApiError, Client, Delete};
use crate::cmd::Failure;
use crate::cmd::pull_progress::PullProgress;
use crate::exit::Exit;
use crate::out;
use crate::tty::signals::Signals;

/// Whether progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// On stderr: a line for a pull, and bars if stderr is a terminal.
    Shown,
    /// Not at all.
    Hidden,
}

/// How long to wait for a pending answer after a signal, so that zun can remove a container that was created.
const ANSWER: Duration = Duration::from_secs(5);

/// A creation without a pull takes less than this. After that, zun shows its progress.
const QUICK_CREATION: Duration = Duration::from_millis(300);

/// Creates a container, unless a signal ends zun. Returns it when the service has accepted the request, and also sets
/// `made` then. Its host may still be creating it.
pub(super) async fn create(
    api: &Client,
    ask: &CreateContainer,
    signals: &mut Signals,
    made: &OnceLock<Container>,
) -> Result<Container, Failure> {
    let asking = async {
        let created = api.create(ask).await;
        let container = created?;
        drop(made.set(container.clone()));
        Ok(container)
    };
    tokio::pin!(asking);
    match unless_ended(signals, &mut asking).await {
        Err(ended) if ended.message.is_none() => {
            // The service may still create it, so zun waits for the answer. Another signal ends this wait.
            let answered = tokio::select! {
                answered = timeout(ANSWER, asking) => answered.is_ok(),
                _again = signals.ended() => false,
            };
            if !answered {
                out::notice(
                    "the service has not answered yet; it may still create the container; check with `zun list`",
                );
            }
            Err(ended)
        }
        outcome => outcome,
    }
}

/// Asks for the console of a container that its host may still be creating: the answer comes when it is created. If the
/// creation takes longer, shows its progress; if it fails, returns the reason.
pub(super) async fn console_once_created(
    api: &Client,
    (container, progress): (&Container, Progress),
    ask: &AttachRequest,
) -> Result<ConsoleEndpoint, Failure> {
    let id = container.uuid.to_string();
    let attach = async || api.attach(&id, ask).await;
    let (mut is_created, recheck) = (false, Notify::new());
    let created = async {
        tokio::select! {
            () = sleep(QUICK_CREATION) => {}
            () = recheck.notified() => {}
        }
        created(api, container.clone(), progress).await
    };
    let first = attach();
    tokio::pin!(created, first);
    let first = tokio::select! {
        answer = &mut first => answer,
        outcome = &mut created => {
            outcome?;
            is_created = true;
            first.await
        }
    };
    match first {
        // The creation has failed (and with --rm the container is gone), it takes longer than the service waits, or the
        // service is restarting.
        Err(error)
            if !is_created
                && (matches!(error.status(), Some(404 | 409)) || is_unreachable(&error)) =>
        {
            recheck.notify_one();
            created.await?;
            Ok(attach().await?)
        }
        answer => Ok(answer?),
    }
}

/// Waits until the host has created the container.
pub(super) async fn created(
    api: &Client,
    mut container: Container,
    progress: Progress,
) -> Result<Container, Failure> {
    let decisive = Goal::Created.decisive();
    let mut pull_progress = PullProgress::default();
    let mut absence = Absence::default();
    while Goal::Created.state_in(container.status) == GoalState::Pending {
        if progress == Progress::Shown && container.task_state == Some(TaskState::ImagePulling) {
            pull_progress.show(&container.image, container.image_pull.as_ref());
        }
        container = match api.wait_for_change(&container, &decisive, POLL_TIMEOUT).await {
            Ok(container) => {
                absence = Absence::default();
                container
            }
            Err(error) if is_unreachable(&error) && absence.lasts().await => container,
            Err(error) => return Err(error.into()),
        };
    }
    if Goal::Created.state_in(container.status) == GoalState::Reached {
        Ok(container)
    } else {
        Err(failed(&container))
    }
}

/// The failure of a start that the service refused. If the command cannot be run, it has the exit code for that.
pub(super) fn refused(error: ApiError) -> Failure {
    let failure = Failure::from(error);
    let words = failure.message.as_deref().unwrap_or_default();
    let code = exit_code_of_start(words).map_or(Exit::ZUN_FAILED, Exit::of_process);
    Failure { exit: Some(code), ..failure }
}

/// Returns `true` if the service is unavailable, so the result of the request is not known.
pub(in crate::cmd) fn is_unreachable(error: &ApiError) -> bool {
    match error {
        ApiError::Unreachable { .. }
        | ApiError::NoAnswer { .. }
        | ApiError::StreamLost { .. }
        | ApiError::BadAnswer { .. } => true,
        ApiError::Refused { status, .. } => matches!(status, 502 | 504),
        ApiError::BadEndpoint(_)
        | ApiError::BadTlsFile(_)
        | ApiError::Setup(_)
        | ApiError::Login(_)
        | ApiError::BadName(_)
        | ApiError::NotHttp { .. } => false,
    }
}

/// Returns `true` if the container has changed since `was` and has no task in progress. Only then does its state show
/// the result of a command that zun sent after it read `was`.
pub(super) fn is_news(now: &Container, was: &Container) -> bool {
    now.task_state.is_none() && (now.updated_at != was.updated_at || now.status != was.status)
}

/// Returns a failure with the container's name and its status reason.
pub(super) fn failed(container: &Container) -> Failure {
    why(container).context(&container.name)
}

/// The same without the name.
pub(super) fn why(container: &Container) -> Failure {
    let why = container.status_reason.clone().filter(|why| !why.is_empty());
    let why = why.unwrap_or_else(|| format!("its status is {}", container.status));
    let exit = exit_code(container.exit_code, &why);
    // Without a host, the detail says why each host does not fit.
    let detail = container.status_detail.as_ref().filter(|_| container.status == Status::Error);
    let why = detail.map_or_else(|| why.clone(), |detail| format!("{why} {detail}"));
    let why = match advice(&why) {
        Some(advice) => format!("{why}; {advice}"),
        None => why,
    };
    Failure::with_exit(why.replace('\n', " "), exit)
}

/// Returns what the user can do about a pull that failed. The words are those of Docker and of registries.
fn advice(why: &str) -> Option<&'static str> {
    let why = why.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|words| why.contains(words));
    if says(&["pull access denied", "unauthorized", "authentication required", "no basic auth"]) {
        Some(
            "check the name of the image; a private image needs a login to its registry: zun login REGISTRY",
        )
    } else if says(&["no such image", "manifest unknown", "manifest for", "not found: manifest"]) {
        Some("check the name and the tag of the image")
    } else {
        None
    }
}

/// Removes the container of a failed command, unless it runs after all. If that fails, zun only prints a notice. A
/// signal stops the removal.
pub(super) async fn discard(api: &Client, container: &Container, signals: &mut Signals) {
    let id = container.uuid.to_string();
    tokio::select! {
        () = remove(api, &id) => {}
        _again = signals.ended() => out::notice(&format!("{} may still exist; check with `zun list`", container.name)),
    }
}

/// Whether the creation of a container that nobody has started has failed.
pub(super) async fn has_failed(api: &Client, container: &Container) -> bool {
    let shown = api.show(&container.uuid.to_string()).await;
    shown.is_ok_and(|now| Goal::Created.state_in(now.status) == GoalState::Unreachable)
}

async fn remove(api: &Client, id: &str) {
    const RUNS: [Status; 3] = [Status::Running, Status::Paused, Status::Restarting];
    match api.show(id).await {
        Ok(now) if RUNS.contains(&now.status) => {
            out::notice(&format!(
                "{0} is {1}, so it was not removed; reattach with `zun attach {0}`",
                now.name, now.status
            ));
            return;
        }
        Ok(_) | Err(_) => {}
    }
    let mut outcome = api.delete(id, Delete::Force).await;
    if matches!(&outcome, Err(error) if error.status() == Some(403)) {
        // Force is for administrators.
        outcome = api.delete(id, Delete::StopFirst).await;
    }
    match outcome {
        Ok(()) => {}
        Err(error) if error.is_not_found() => {}
        Err(error) => {
            let failure = Failure::from(error).context(&format!("cannot remove {id}"));
            out::notice(&failure.message.unwrap_or_default());
        }
    }
}

/// Runs `work` until it is done or a signal ends zun.
pub(super) async fn unless_ended<T>(
    signals: &mut Signals,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        outcome = work => outcome,
        number = signals.ended() => Err(Failure::silent(Exit(number.exit_code()))),
    }
}
