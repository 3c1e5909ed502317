//! The effects of outcomes on containers and images.

use zun_common::api::v1::event::EventAction;
use zun_common::id::{ContainerId, HostName, ImageId, OperationId, ResourceId};
use zun_common::rpc::Code;
use zun_common::rpc::operation::{Change, OperationOutcome, Outcome, Rename};

use super::change::{
    self, Ended, Finished, finish, name_run, replace_limits_before_next, replace_name_before_next,
};
use super::key::release_key;
use super::query::owner;
use super::row::Kind;
use crate::db::container::{self, Record, Scope};
use crate::db::event::{self, NewEvent};
use crate::db::host::Growth;
use crate::db::{Conn, DbError, image, lock, resource, transaction};

/// What an outcome changed.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// The container, if it has changed.
    pub(crate) record: Option<Record>,
    /// The operation, unless it had an outcome before.
    pub(crate) ended: Option<Ended>,
}

/// Stores the outcome of an operation, and its effect on the container.
pub(crate) fn settle(
    conn: &mut Conn,
    id: OperationId,
    outcome: &Outcome,
) -> Result<Settled, DbError> {
    match owner(conn, id)? {
        Some((_host, container)) => settle_of(conn, container, (id, outcome, false)),
        None => Ok(Settled::default()),
    }
}

/// Like [`settle`], for an outcome that a host reports. Ignores operations of other hosts.
pub(crate) fn settle_reported(
    conn: &mut Conn,
    host: &HostName,
    reported: &OperationOutcome,
) -> Result<Settled, DbError> {
    let OperationOutcome { operation, outcome, has_replaced } = reported;
    match owner(conn, *operation)? {
        Some((Some(owner), container)) if owner == host.as_str() => {
            let settled = settle_of(conn, container, (*operation, outcome, *has_replaced))?;
            // The host had no room for it. A repeat of the request is a new attempt.
            if matches!(outcome, Outcome::Failed(problem) if problem.code == Code::Busy) {
                release_key(conn, *operation)?;
            }
            Ok(settled)
        }
        Some(_) | None => {
            tracing::warn!(
                host.name = %host, operation.id = %operation,
                "ignored an outcome from host {host}: the operation belongs to another host, or was purged"
            );
            Ok(Settled::default())
        }
    }
}

fn settle_of(
    conn: &mut Conn,
    container: ContainerId,
    (id, outcome, has_replaced): (OperationId, &Outcome, bool),
) -> Result<Settled, DbError> {
    lock::container(conn, container)?;
    let Some(finished) = finish(conn, id, outcome)? else { return Ok(Settled::default()) };
    let mut record = take_effect(conn, (id, &finished), outcome)?;
    if has_replaced && let Some(Change::Rebuild { spec, .. }) = &finished.change {
        // The rebuild has failed, but the host has the new container.
        record = container::set_image(conn, container, (&spec.image, spec.registry))?;
    }
    Ok(Settled { record, ended: Some(finished.ended(outcome)) })
}

/// Returns the event for a successful operation, unless the report already implies it.
fn event_of(finished: &Finished) -> Option<NewEvent> {
    let action = match finished.kind {
        Kind::Stop => EventAction::Stop,
        Kind::Reboot => EventAction::Restart,
        Kind::Rebuild => EventAction::Rebuild,
        Kind::Pause => EventAction::Pause,
        Kind::Unpause => EventAction::Unpause,
        Kind::Kill => EventAction::Kill,
        Kind::Update => EventAction::Update,
        Kind::Create
        | Kind::Start
        | Kind::Delete
        | Kind::PullImage
        | Kind::RemoveImage
        | Kind::RemoveResource
        | Kind::Attach
        | Kind::Execute => return None,
    };
    let event = NewEvent::of(action);
    match &finished.change {
        Some(Change::Kill { signal }) => Some(event.with("signal", signal)),
        Some(Change::Rebuild { spec, .. }) => Some(event.with("image", &spec.image)),
        Some(_) | None => Some(event),
    }
}

/// The effect of an outcome that is stored.
fn take_effect(
    conn: &mut Conn,
    (id, finished): (OperationId, &Finished),
    outcome: &Outcome,
) -> Result<Option<Record>, DbError> {
    let container = finished.container;
    if *outcome == Outcome::Succeeded
        && let Some(event) = event_of(finished)
        && let Some(record) = container::with_tombstone(conn, container)?
    {
        event::write(conn, &(&record).into(), vec![event])?;
    }
    match (finished.kind, outcome) {
        (Kind::Start | Kind::Reboot, Outcome::Succeeded) => {
            name_run(conn, (id, container))?;
            Ok(None)
        }
        (Kind::Rebuild, Outcome::Succeeded) => rebuilt(conn, (id, finished)),
        (Kind::Delete, Outcome::Succeeded) => {
            container::confirm_removal(conn, container)?;
            Ok(None)
        }
        (Kind::Create, Outcome::Failed(problem)) => {
            container::fail_creation(conn, container, &problem.message)
        }
        (Kind::Create, Outcome::Expired | Outcome::Unknown) => {
            let words = "The container's host did not begin to create it within 10 minutes.";
            container::fail_creation(conn, container, words)
        }
        (Kind::RemoveResource, Outcome::Succeeded) => {
            resource::forget(conn, ResourceId::of_subject(container))?;
            change::forget(conn, container)?;
            Ok(None)
        }
        (Kind::PullImage | Kind::RemoveImage, _) => {
            let (image, number) = (ImageId::of_subject(container), finished.sequence);
            image::settle(conn, image, (finished.kind, number), outcome)?;
            Ok(None)
        }
        (Kind::Update, Outcome::Succeeded | Outcome::Failed(_) | Outcome::Expired) => {
            updated(conn, (id, finished), *outcome == Outcome::Succeeded)
        }
        (
            Kind::Create
            | Kind::Start
            | Kind::Stop
            | Kind::Reboot
            | Kind::Rebuild
            | Kind::Pause
            | Kind::Unpause
            | Kind::Kill
            | Kind::Update
            | Kind::Delete
            | Kind::RemoveResource
            | Kind::Attach
            | Kind::Execute,
            _,
        ) => Ok(None),
    }
}

/// Handles the end of a rebuild: the row gets the new image, and the operation gets the run that it began, if any.
fn rebuilt(
    conn: &mut Conn,
    (id, finished): (OperationId, &Finished),
) -> Result<Option<Record>, DbError> {
    let Some(Change::Rebuild { spec, was_running }) = &finished.change else { return Ok(None) };
    if *was_running {
        name_run(conn, (id, finished.container))?;
    }
    container::set_image(conn, finished.container, (&spec.image, spec.registry))
}

/// The host has the limits of an update if it succeeded, and otherwise those before. The container gets its former name
/// back then.
fn updated(
    conn: &mut Conn,
    (id, finished): (OperationId, &Finished),
    has_succeeded: bool,
) -> Result<Option<Record>, DbError> {
    let Some(Change::Update { resources, before, rename }) = &finished.change else {
        return Ok(None);
    };
    let renamed = match rename.as_ref().filter(|_| !has_succeeded) {
        Some(rename) => restore_name(conn, (id, finished.container), rename)?,
        None => None,
    };
    let on_host = if has_succeeded { *resources } else { *before };
    if replace_limits_before_next(conn, finished, on_host)? {
        return Ok(renamed);
    }
    Ok(container::set_limits(conn, finished.container, on_host)?.or(renamed))
}

/// Takes a new name back, unless a later change has replaced it, or another container has the former one now.
fn restore_name(
    conn: &mut Conn,
    (id, container): (OperationId, ContainerId),
    failed: &Rename,
) -> Result<Option<Record>, DbError> {
    if replace_name_before_next(conn, (id, container), failed)? {
        return Ok(None);
    }
    let Some(record) = container::by_id(conn, &Scope::All, container)? else { return Ok(None) };
    let Rename { from, to } = failed;
    if record.spec.name != *to || container::name_taken(conn, &record.project, from)? {
        return Ok(None);
    }
    let limits = record.spec.resources;
    let restore =
        |conn: &mut Conn| container::amend(conn, container, (from, limits), Growth::Unchecked);
    match transaction(conn, restore) {
        // Another container got it meanwhile.
        Err(error) if error.is_duplicate() => Ok(None),
        restored => restored,
    }
}
