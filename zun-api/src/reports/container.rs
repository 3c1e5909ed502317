//! Reports about containers, and the outcomes of their operations.

use std::sync::Arc;

use zun_common::bus::Incoming;
use zun_common::id::{ContainerId, HostName, UserId};
use zun_common::rpc::container::Removal;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::operation::{Change, ReportContainer};
use zun_common::rpc::report::UnknownContainer;
use zun_common::rpc::{Code, Done, Problem};
use zun_common::status::{Health, Status};

use super::{Stored, is_stale, own, stale_epoch, stored};
use crate::app::App;
use crate::app::containers::{heal, is_to_be_healed};
use crate::db::container::{self, Applied, Record, Scope};
use crate::db::operation::{self, Accepted, NewOperation, Settled};
use crate::db::{Conn, DbError, host, lock, transaction};
use crate::metrics::ReportOutcome;

/// The effect of a message.
struct Effect {
    applied: Option<Applied>,
    /// What the outcomes changed.
    settled: Vec<Settled>,
    /// What the host must do: remove a container that was deleted or whose run has ended with auto-remove, or restart
    /// one that has become unhealthy.
    accepted: Option<Accepted>,
}

/// Stores a report and the outcomes of operations, then wakes the requests that wait for the container.
pub(super) async fn reported(
    app: Arc<App>,
    call: ReportContainer,
    incoming: Incoming,
) -> Result<Done, Problem> {
    let (id, host) = (call.container, call.host.clone());
    own(&host, &incoming)
        .and_then(|()| check_subject(&call))
        .inspect_err(|_refusal| app.metrics.count_report(ReportOutcome::Foreign))?;
    // The agent forgets an outcome that it has reported. A state that is lost is reported again.
    let how = if call.outcomes.is_empty() { Stored::Relaxed } else { Stored::Durable };
    let stored = stored(&app, how, move |conn| transaction(conn, |conn| store(conn, &call)))
        .await
        .inspect_err(|_failure| app.metrics.count_report(ReportOutcome::Failed))?;
    let Some(Effect { applied, settled, accepted }) = stored else {
        return Err(stale_epoch(&host));
    };
    let has_settled = settled.iter().any(|one| one.ended.is_some());
    for Settled { record, ended } in settled {
        app.metrics.count_operations(ended);
        if let Some(record) = record {
            app.hub.publish(&record);
        }
    }
    // Changes of the container are published below. An outcome alone, or the end of a deleted container's run, can be
    // an event too.
    let is_published = matches!(applied, Some(Applied::Newer { .. } | Applied::Gone(_)));
    if !is_published && (has_settled || matches!(applied, Some(Applied::Tombstone(_)))) {
        app.hub.note_event(id);
    }
    if let Some(accepted) = accepted {
        let restarts = matches!(accepted.operation.change, Change::Reboot { .. });
        let what = if restarts { "restart the unhealthy" } else { "remove" };
        tracing::info!(
            container.id = %id, host.name = %host, "asking host {host} to {what} container {id}"
        );
        app.nudge_later(CallContext::internal(), accepted);
    }
    let Some(applied) = applied else { return Ok(Done {}) };
    let (outcome, answer) = conclude(&app, applied, (id, &host));
    app.metrics.count_report(outcome);
    answer
}

/// Refuses a report about another host or container than the message.
fn check_subject(call: &ReportContainer) -> Result<(), Problem> {
    let Some(report) = &call.report else { return Ok(()) };
    if report.host == call.host && report.container == call.container {
        return Ok(());
    }
    let words = format!(
        "the report is about container {} on host `{}`, but its message is about container {} on host `{}`",
        report.container, report.host, call.container, call.host
    );
    Err(Problem::new(Code::Forbidden, words))
}

/// `None` if the epoch is not the host's current one.
fn store(conn: &mut Conn, call: &ReportContainer) -> Result<Option<Effect>, DbError> {
    let ReportContainer { host, epoch, container: _, report, outcomes } = call;
    if host::check_epoch(conn, host, *epoch)?.is_none() {
        return Ok(None);
    }
    lock::container(conn, call.container)?;
    // The report can change the host's row, which is locked last.
    let reported: Vec<_> = outcomes.iter().map(|outcome| outcome.operation).collect();
    lock::operations(conn, &reported)?;
    let is_gone = report.as_ref().is_some_and(|report| report.status == Status::Deleted);
    let has_open = is_gone && operation::lock_open(conn, call.container)?;
    let before = match report {
        Some(report) if report.live.health == Some(Health::Unhealthy) => {
            let read = container::by_id(conn, &Scope::All, call.container);
            container::or_stand_in(conn, call.container, read)?
        }
        Some(_) | None => None,
    };
    let applied =
        report.as_ref().map(|report| container::apply(conn, *epoch, report)).transpose()?;
    let mut settled = Vec::new();
    for outcome in outcomes {
        settled.push(operation::settle_reported(conn, host, outcome)?);
    }
    // A removed container must not be created again by an operation that is still open.
    if has_open && let Some(Applied::Gone(record)) = &applied {
        operation::supersede(conn, record.id)?;
    }
    let accepted = match &applied {
        Some(Applied::Tombstone(record)) => remove_again(conn, record)?,
        Some(Applied::Newer { record, .. }) if is_to_be_removed(record) => {
            remove_ended(conn, record)?
        }
        Some(Applied::Newer { record, .. }) if has_become_unhealthy(before.as_ref(), record) => {
            heal(conn, record)?
        }
        Some(
            Applied::Newer { .. }
            | Applied::Gone(_)
            | Applied::Stale
            | Applied::Foreign { .. }
            | Applied::Missing,
        )
        | None => None,
    };
    Ok(Some(Effect { applied, settled, accepted }))
}

/// Accepts the removal of a deleted container that its host still has, unless a removal is in progress.
fn remove_again(conn: &mut Conn, record: &Record) -> Result<Option<Accepted>, DbError> {
    let Some(host) = &record.host else { return Ok(None) };
    if operation::has_open_delete(conn, record.id)? {
        return Ok(None);
    }
    let user: &UserId = &record.user;
    let request = &CallContext::internal().request;
    let change = Change::Delete { how: Removal::Force };
    let new =
        NewOperation { subject: record.into(), user, request, key: None, change, limit: None };
    operation::accept(conn, host, new).map(Some)
}

/// Whether the container is removed because its run has ended, or could not begin.
fn is_to_be_removed(record: &Record) -> bool {
    let has_ended = match record.status {
        Status::Stopped | Status::Dead => record.started_at.is_some(),
        Status::Error => record.engine.is_some(),
        Status::Creating
        | Status::Created
        | Status::Running
        | Status::Paused
        | Status::Restarting
        | Status::Rebuilding
        | Status::Deleting
        | Status::Deleted
        | Status::Unknown => false,
    };
    record.spec.auto_remove && record.task_state.is_none() && has_ended
}

/// Accepts the removal of a container in the transaction that stores the end of its run.
fn remove_ended(conn: &mut Conn, record: &Record) -> Result<Option<Accepted>, DbError> {
    if container::write_tombstone(conn, record.id)?.is_none() {
        return Ok(None);
    }
    operation::supersede(conn, record.id)?;
    remove_again(conn, record)
}

/// Whether a container that is to be healed is unhealthy in this run, and was not before. `before` is only read if the
/// report says that it is unhealthy.
fn has_become_unhealthy(before: Option<&Record>, now: &Record) -> bool {
    let was_known = before.is_some_and(|it| is_to_be_healed(it) && it.started_at == now.started_at);
    is_to_be_healed(now) && !was_known
}

type Conclusion = (ReportOutcome, Result<Done, Problem>);

/// Publishes an applied report, and returns the reply to the agent.
fn conclude(app: &App, applied: Applied, about: (ContainerId, &HostName)) -> Conclusion {
    let (id, host) = about;
    match applied {
        Applied::Newer { record, has_new_status } => {
            if has_new_status {
                log(about, record.status.as_str());
            }
            app.hub.publish(&record);
            (ReportOutcome::Applied, Ok(Done {}))
        }
        Applied::Gone(record) => {
            log(about, "gone");
            app.hub.publish(&record);
            (ReportOutcome::Gone, Ok(Done {}))
        }
        Applied::Stale | Applied::Tombstone(_) => (ReportOutcome::Stale, Ok(Done {})),
        Applied::Missing => {
            log(about, "not in the database");
            let problem =
                Problem::new(Code::NotFound, format!("container {id} is not in the database"));
            (ReportOutcome::Missing, Err(problem))
        }
        Applied::Foreign { host: owner } => {
            warn(about, owner.as_ref());
            let words = format!("container {id} is not on host `{host}`");
            (ReportOutcome::Foreign, Err(Problem::new(Code::Forbidden, words)))
        }
    }
}

fn log((id, host): (ContainerId, &HostName), state: &str) {
    tracing::info!(container.id = %id, host.name = %host, "container {id} is {state}");
}

fn warn((id, host): (ContainerId, &HostName), owner: Option<&HostName>) {
    tracing::warn!(
        container.id = %id, host.name = %host, owner = ?owner,
        "refused a report from host {host} about container {id}, which belongs to another host"
    );
}

/// Handles a container with this cluster's label that is not in the host's list: it has been deleted and is removed
/// again, or it is a stray.
pub(super) async fn unknown(
    app: Arc<App>,
    call: UnknownContainer,
    incoming: Incoming,
) -> Result<Done, Problem> {
    own(&call.host, &incoming)?;
    let UnknownContainer { container, host, engine, epoch } = call;
    let owner = host.clone();
    let removal = stored(&app, Stored::Durable, move |conn| {
        transaction(conn, |conn| {
            if is_stale(conn, &owner, epoch)? {
                return Ok(None);
            }
            lock::container(conn, container)?;
            match container::with_tombstone(conn, container)? {
                Some(record)
                    if record.deleted_at.is_some() && record.host.as_ref() == Some(&owner) =>
                {
                    remove_again(conn, &record).map(Some)
                }
                Some(_) | None => Ok(Some(None)),
            }
        })
    })
    .await?;
    if let Some(removal) = removal.ok_or_else(|| stale_epoch(&host))? {
        app.nudge_later(CallContext::internal(), removal);
        return Ok(Done {});
    }
    app.metrics.unknown_containers.inc();
    tracing::warn!(
        container.id = %container, host.name = %host, engine.id = %engine,
        "host {host} has a stray container {container}: it is not in the database"
    );
    Ok(Done {})
}
