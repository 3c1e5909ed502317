//! Carries out one operation: inspects the container, checks the rules, lets the engine work, and reports the state
//! afterwards with the outcome.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use zun_common::backoff::Backoff;
use zun_common::chain;
use zun_common::id::ContainerId;
use zun_common::rpc::operation::{Change, Operation, Outcome};
use zun_common::rpc::{Code, Problem};

use super::queue::superseded;
use super::rules::{action, fits};
use super::work::Work;
use super::{conflict, create, existing, image, rebuild};
use crate::driver::{ContainerInfo, DriverError};
use crate::host::{Host, observation, within};
use crate::operation_state::Ended;
use crate::report::{Completion, Conclusion, Failure, Observation};

/// No operation begins in the last seconds before its time limit, so that zun-api and the agent agree on whether it
/// was begun.
const LIMIT_MARGIN: TimeDelta = TimeDelta::seconds(2);

/// The pauses between attempts at something that must be done.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// How an operation ended, and why it failed.
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    pub(super) failure: Option<Failure>,
}

impl Finished {
    const fn without_failure(outcome: Outcome) -> Self {
        Self { outcome, failure: None }
    }
}

/// Carries out an operation. A removal is repeated until it succeeds. A creation is repeated while Docker does not
/// answer, until its time limit. `None` if the agent has lost the epoch in which it received the operation: the next
/// list has the operation, if it is still open.
pub(super) async fn perform(work: &Work<'_>) -> Option<Finished> {
    if !work.is_current().await {
        return None;
    }
    if is_too_late(work) {
        // An earlier agent may have carried it out.
        let outcome = if work.operation.again { Outcome::Unknown } else { Outcome::Expired };
        return Some(Finished::without_failure(outcome));
    }
    let began = Instant::now();
    let removes = work.operation.change.removes();
    let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
    loop {
        let error = match attempt(work).await {
            Ok(Attempt::Done) => {
                log(work, began, &Ok(()));
                return Some(Finished::without_failure(Outcome::Succeeded));
            }
            Ok(Attempt::TooLate) => return Some(Finished::without_failure(Outcome::Expired)),
            Err(error) => error,
        };
        if matches!(error, DriverError::Down { .. }) {
            work.host.unanswered.engine_ended();
        }
        // A creation stops when the epoch is lost, and the next agent continues it. Other changes have failed, even if
        // another agent has the epoch now.
        let is_continued = matches!(
            work.operation.change,
            Change::Create { .. } | Change::Rebuild { .. } | Change::PullImage { .. }
        );
        if is_continued && work.host.control.epoch() != Some(work.epoch) {
            return None;
        }
        // What cannot be repeated may have been done in spite of its error, so the error is reported.
        if work.superseded.is_cancelled() && !removes && !work.operation.change.is_once() {
            return Some(Finished::without_failure(superseded()));
        }
        if !is_repeated(&work.operation.change, &error) || is_too_late(work) {
            let finished = failed(work, &error);
            log(work, began, &Err(error));
            return Some(finished);
        }
        log_retry(work, &error);
        tokio::select! {
            biased;
            () = backoff.wait() => {}
            () = work.superseded.cancelled(), if !removes => {}
        }
        if !work.is_current().await {
            return None;
        }
    }
}

fn failed(work: &Work<'_>, error: &DriverError) -> Finished {
    let mut problem = error.problem();
    if work.may_have_started.load(Ordering::Relaxed) {
        // An engine that crashes during a start can leave a process that it does not know after its restart.
        problem.message.push_str(". The container may have been started");
    }
    let failure = failure(&work.operation.change, error, &problem.message);
    Finished { outcome: Outcome::Failed(problem), failure }
}

/// The outcome after a panic.
pub(super) fn panicked(operation: &Operation) -> Finished {
    let subject = operation.container;
    tracing::error!(container.id = %subject, operation.id = %operation.id, "the work on {subject} panicked");
    let reason =
        "an internal error of the agent ended the operation; the agent's log has the details"
            .to_owned();
    let outcome = Outcome::Failed(Problem::new(Code::Internal, reason.clone()));
    Finished { outcome, failure: Some(Failure { reason, exit_code: None, fatal: false }) }
}

/// Reports the state after an operation, and with it the outcome.
pub(super) async fn end(
    host: &Host,
    operation: &Operation,
    (failure, ended): (Option<Failure>, Ended),
) {
    let (sequence, container) = (host.reports.next_sequence(), operation.container);
    if !operation.change.is_about_container() {
        let nothing = Completion { sequence, observation: None, failure: None };
        host.reports.finish(container, nothing, ended);
        return;
    }
    let observation = observation(host.inspect(container).await).ok();
    if observation.is_none() {
        // Repeats the inspection until Docker answers.
        host.reconcile_needed.notify_one();
    }
    if host.reports.finish(container, Completion { sequence, observation, failure }, ended)
        == Conclusion::NeedsReconcile
    {
        host.mark_for_reconcile(container);
    }
}

/// Reports the container as Docker has it, as soon as Docker answers.
pub(super) async fn report_again(host: &Host, container: ContainerId) {
    let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
    loop {
        let sequence = host.reports.next_sequence();
        match observation(host.inspect(container).await) {
            Ok(Observation::Missing) => return host.reports.absent(sequence, container, false),
            Ok(found) => {
                if host.reports.observe(sequence, container, found) == Conclusion::NeedsReconcile {
                    host.mark_for_reconcile(container);
                }
                return;
            }
            Err(_) => backoff.wait().await,
        }
    }
}

fn is_too_late(work: &Work<'_>) -> bool {
    let may_have_begun = work.operation.again || work.is_half_done();
    !(may_have_begun && work.operation.change.must_be_finished()) && is_past_limit(work)
}

fn is_past_limit(work: &Work<'_>) -> bool {
    let limit = work.operation.not_after.and_then(|limit| limit.checked_sub_signed(LIMIT_MARGIN));
    match (limit, work.host.control.now()) {
        (Some(limit), Some(now)) => now >= limit,
        (Some(_), None) | (None, _) => false,
    }
}

enum Attempt {
    Done,
    /// No agent has begun the operation, and its time limit has passed.
    TooLate,
}

async fn attempt(work: &Work<'_>) -> Result<Attempt, DriverError> {
    if let Change::Rebuild { .. } = work.operation.change
        && !work.is_half_done()
        && is_past_limit(work)
    {
        let seen = observation(work.host.inspect(work.container()).await)?;
        if !rebuild::may_have_begun(work, seen.info()) {
            return Ok(Attempt::TooLate);
        }
    }
    carry_out(work).await.map(|()| Attempt::Done)
}

async fn carry_out(work: &Work<'_>) -> Result<(), DriverError> {
    let (host, container) = (work.host, work.container());
    match &work.operation.change {
        Change::PullImage { image, platform, policy, registry, project } => {
            let (platform, policy, registry) = (platform.as_deref(), *policy, *registry);
            let project = project.as_ref();
            let needed = image::ImageRequirement { image, platform, policy, registry, project };
            return image::pull(work, needed).await;
        }
        Change::RemoveImage { image } => return image::remove(work, image).await,
        Change::RemoveResource { resource, id } => {
            work.mark_begun();
            let removing = host.driver.remove_resource(*resource, *id);
            return within(host.engine_timeout(), "remove the resource", removing).await.map(drop);
        }
        Change::Create { .. }
        | Change::Start { .. }
        | Change::Stop { .. }
        | Change::Reboot { .. }
        | Change::Rebuild { .. }
        | Change::Pause
        | Change::Unpause
        | Change::Kill { .. }
        | Change::Update { .. }
        | Change::Delete { .. } => {}
    }
    if let Change::Create { spec, start: _ } = &work.operation.change {
        // Before the inspection: a container that does not exist yet leaves nothing to reconcile.
        host.reports.create_requested(container, (spec.auto_remove, work.operation.again));
    }
    match (inspect_first(work).await, &work.operation.change) {
        (Ok(seen), Change::Create { spec, start }) => {
            create::create(work, (spec, *start), seen.as_ref()).await
        }
        (Ok(seen), Change::Rebuild { spec, was_running }) => {
            let is_first_attempt = !work.operation.again && !work.is_half_done();
            if let Some(seen) = seen.as_ref().filter(|_| is_first_attempt) {
                refused(work, seen)?;
            }
            rebuild::rebuild(work, (spec, *was_running), seen.as_ref()).await
        }
        (Ok(_) | Err(_), Change::Delete { how }) => existing::remove(work, *how).await,
        (Ok(Some(seen)), change) => {
            if !refused(work, &seen)? {
                existing::change(work, change, &seen).await?;
            }
            Ok(())
        }
        (Ok(None), _) => Err(DriverError::NoContainer(container)),
        (Err(error), _) => Err(error),
    }
}

/// Inspects and reports the container before an operation on it. A user waits for most operations, so this waits for a
/// container that Docker holds.
async fn inspect_first(work: &Work<'_>) -> Result<Option<ContainerInfo>, DriverError> {
    let (host, container) = (work.host, work.container());
    // A removal works on the container in any state.
    if matches!(work.operation.change, Change::Delete { .. }) {
        return host.inspect_and_report(container).await;
    }
    host.inspect_and_report_within(host.engine_timeout(), container).await
}

/// Refuses an operation that the container's state does not allow. Returns whether an earlier agent has carried it out,
/// and its effect is already over.
fn refused(work: &Work<'_>, seen: &ContainerInfo) -> Result<bool, DriverError> {
    let change = &work.operation.change;
    if fits(change, seen.status) {
        return Ok(false);
    }
    if work.operation.again {
        return Ok(true);
    }
    let words = conflict(work.container(), action(change), seen.status).message;
    Err(DriverError::Conflict { words })
}

/// Whether the operation is attempted again after this error.
const fn is_repeated(change: &Change, error: &DriverError) -> bool {
    match change {
        Change::Delete { .. } | Change::RemoveResource { .. } => true,
        Change::Create { .. }
        | Change::Rebuild { .. }
        | Change::PullImage { .. }
        | Change::RemoveImage { .. } => {
            matches!(
                error,
                DriverError::Down { .. } | DriverError::TimedOut { .. } | DriverError::Held { .. }
            )
        }
        Change::Start { .. }
        | Change::Stop { .. }
        | Change::Reboot { .. }
        | Change::Pause
        | Change::Unpause
        | Change::Kill { .. }
        | Change::Update { .. } => false,
    }
}

/// The failure to show in the container's state, unless a rebuild has changed nothing. `None` if the container no
/// longer exists, because that is reported anyway.
fn failure(change: &Change, error: &DriverError, reason: &str) -> Option<Failure> {
    let creates = matches!(change, Change::Create { .. });
    let starts = creates
        || matches!(change, Change::Start { .. } | Change::Reboot { .. } | Change::Rebuild { .. });
    let (exit_code, fatal) = match error {
        DriverError::NoContainer(_) if !creates => return None,
        DriverError::NotRunnable { code, .. } => (Some(*code), starts),
        DriverError::NoImage(_)
        | DriverError::Unauthorized { .. }
        | DriverError::Invalid { .. }
        | DriverError::Engine { .. }
        | DriverError::TimedOut { .. }
        | DriverError::Held { .. } => (None, starts),
        DriverError::NoContainer(_)
        | DriverError::NoExec(_)
        | DriverError::NoFile(_)
        | DriverError::TooLarge
        | DriverError::Conflict { .. }
        | DriverError::Down { .. } => (None, creates),
    };
    Some(Failure { reason: reason.to_owned(), exit_code, fatal })
}

fn log_retry(work: &Work<'_>, error: &DriverError) {
    let (action, container) = (action(&work.operation.change), work.container());
    tracing::warn!(
        container.id = %container, host.name = %work.host.name,
        request.id = %work.operation.request, error = %chain(error),
        "{action} of container {container} failed; will retry"
    );
}

fn log(work: &Work<'_>, began: Instant, outcome: &Result<(), DriverError>) {
    let (host, container) = (work.host, work.container());
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (action, request) = (action(&work.operation.change), &work.operation.request);
    match outcome {
        Ok(()) => tracing::info!(
            container.id = %container, host.name = %host.name, request.id = %request,
            duration_ms, "{action} of container {container} is done"
        ),
        Err(error) => tracing::warn!(
            container.id = %container, host.name = %host.name, request.id = %request,
            duration_ms, error = %chain(error), "{action} of container {container} failed"
        ),
    }
}
