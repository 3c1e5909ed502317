//! Changes of a container's row. Each returns what happened.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::api::v1::event::EventAction;
use zun_common::environment;
use zun_common::id::{ContainerId, Epoch, HostName, ProjectId, RegistryId, UserId};
use zun_common::rpc::report::ContainerReport;
use zun_common::status::{Health, Status, TaskState};
use zun_common::units::Resources;

use super::query::{Scope, by_id, with_tombstone};
use super::removal::{confirm_removal, write_tombstone};
use super::row::Record;
use super::run::write_runs;
use super::spec::Spec;
use super::unreadable::or_stand_in;
use crate::db::event::{self, NewEvent};
use crate::db::host::{ClaimSettings, Growth};
use crate::db::quota::{self, Amounts};
use crate::db::schema::containers::{self, dsl};
use crate::db::{Conn, DbError, host, lock};

/// A container that is not in the database yet.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    pub(crate) id: ContainerId,
    pub(crate) project: ProjectId,
    pub(crate) user: UserId,
    pub(crate) spec: Spec,
    pub(crate) start_wanted: bool,
    pub(crate) placement_result: PlacementResult,
}

/// Whether it has a host.
#[derive(Debug, Clone)]
pub(crate) enum PlacementResult {
    /// The container is placed on this host and claims its resources there.
    Placed(HostName),
    /// No host can take it.
    NoHost {
        /// Zun's words.
        reason: String,
        /// Why not, host by host.
        detail: String,
    },
}

#[derive(Insertable)]
#[diesel(table_name = containers)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are the table's columns")]
struct NewRow {
    uuid: String,
    project_id: String,
    user_id: String,
    name: String,
    image: String,
    cpu_millis: i64,
    memory_mib: i64,
    disk_gib: i64,
    tty: bool,
    interactive: bool,
    auto_remove: bool,
    spec: String,
    start_wanted: bool,
    host: Option<String>,
    generation: i64,
    status: &'static str,
    status_reason: Option<String>,
    status_detail: Option<String>,
    oom_killed: bool,
    attached: i32,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    claim_held: bool,
}

/// Writes a container's first row, and reserves what it needs of its project's quota. If it has a host, claims its
/// resources there; [`DbError::NoCapacity`] if they do not fit. If it has none, it only counts as a container. Must run
/// in a transaction.
pub(crate) fn insert(
    conn: &mut Conn,
    fresh: Fresh,
    settings: &ClaimSettings,
) -> Result<Record, DbError> {
    let now = environment::now().naive_utc();
    let Fresh { id, project, user, spec, start_wanted, placement_result } = fresh;
    let wanted = Amounts::container(spec.resources, spec.disk);
    quota::reserve(conn, &project, wanted, &settings.quotas)?;
    let (status, host, status_reason, status_detail) = match placement_result {
        PlacementResult::Placed(host) => (Status::Creating, Some(host), None, None),
        PlacementResult::NoHost { reason, detail } => {
            (Status::Error, None, Some(reason), Some(detail))
        }
    };
    if host.is_none() {
        quota::release(conn, project.as_str(), Amounts { containers: 0, ..wanted })?;
    }
    let row = NewRow {
        uuid: id.to_string(),
        project_id: project.into(),
        user_id: user.into(),
        name: spec.name.clone(),
        image: spec.image.clone(),
        cpu_millis: wanted.cpu_millis,
        memory_mib: wanted.memory_mib,
        disk_gib: wanted.disk_gib,
        tty: spec.console.tty,
        interactive: spec.console.stdin_open,
        auto_remove: spec.auto_remove,
        spec: serde_json::to_string(&spec)?,
        start_wanted,
        host: host.as_ref().map(ToString::to_string),
        generation: 0,
        status: status.as_str(),
        status_reason,
        status_detail,
        oom_killed: false,
        attached: 0,
        created_at: now,
        updated_at: now,
        claim_held: host.is_some(),
    };
    diesel::insert_into(dsl::containers).values(row).execute(conn)?;
    if let Some(host) = &host {
        host::claim(conn, host, (spec.resources, spec.disk), settings)?;
    }
    by_id(conn, &Scope::All, id)?.ok_or(DbError::Query(diesel::result::Error::NotFound))
}

/// The effect of a report.
#[derive(Debug)]
pub(crate) enum Applied {
    /// The container's state is new.
    Newer {
        /// Its state now.
        record: Record,
        /// Whether its status has changed.
        has_new_status: bool,
    },
    /// The container is gone. This was its last state.
    Gone(Record),
    /// It is older than the last applied report.
    Stale,
    /// The container was deleted, and its host still has it. Its removal is in progress, or must begin again.
    Tombstone(Record),
    /// The container is on another host.
    Foreign {
        /// The other host.
        host: Option<HostName>,
    },
    /// There is no such container.
    Missing,
}

/// Applies a report if it is newer than the last one and comes from the container's host. A report never changes a
/// deleted container, except that it confirms the removal.
pub(crate) fn apply(
    conn: &mut Conn,
    epoch: Epoch,
    report: &ContainerReport,
) -> Result<Applied, DbError> {
    lock::container(conn, report.container)?;
    let read = with_tombstone(conn, report.container);
    let is_readable = read.is_ok();
    let Some(record) = or_stand_in(conn, report.container, read)? else {
        return Ok(Applied::Missing);
    };
    if record.host.as_ref() != Some(&report.host) {
        return Ok(Applied::Foreign { host: record.host });
    }
    if (epoch, report.generation) <= (record.epoch, record.generation) {
        return Ok(Applied::Stale);
    }
    if record.deleted_at.is_some() {
        note_end(conn, &record, (epoch, report))?;
        let events = write_runs(conn, (record.id, record.run), &report.runs)?;
        event::write(conn, &(&record).into(), events)?;
        if report.status != Status::Deleted {
            return Ok(Applied::Tombstone(record));
        }
        return gone(conn, record.id);
    }
    if write(conn, &record, (epoch, report))? == 0 {
        return Ok(Applied::Stale);
    }
    let mut events = Vec::new();
    if record.engine.is_none() && report.engine.is_some() {
        events.push(NewEvent::of(EventAction::Create));
    }
    events.extend(write_runs(conn, (record.id, record.run), &report.runs)?);
    // As in Docker, the first health check causes no event.
    let health = report.live.health.filter(|health| *health != Health::Starting);
    if let Some(health) = health.filter(|health| record.live.health != Some(*health)) {
        events.push(NewEvent::of(EventAction::HealthStatus(health)));
    }
    event::write(conn, &(&record).into(), events)?;
    if report.status == Status::Deleted {
        write_tombstone(conn, record.id)?;
        return gone(conn, record.id);
    }
    // The report is stored, but its consequences depend on a column that cannot be read.
    if !is_readable {
        return Ok(Applied::Stale);
    }
    let newer = |new: Record| {
        let has_new_status = new.status != record.status;
        Applied::Newer { record: new, has_new_status }
    };
    Ok(by_id(conn, &Scope::All, record.id)?.map_or(Applied::Missing, newer))
}

/// The host has confirmed the removal of a container with a tombstone.
fn gone(conn: &mut Conn, id: ContainerId) -> Result<Applied, DbError> {
    confirm_removal(conn, id)?;
    let read = with_tombstone(conn, id);
    Ok(or_stand_in(conn, id, read)?.map_or(Applied::Missing, Applied::Gone))
}

fn write(
    conn: &mut Conn,
    was: &Record,
    (epoch, report): (Epoch, &ContainerReport),
) -> Result<usize, DbError> {
    let ContainerReport {
        container,
        host,
        generation,
        status,
        task_state,
        status_reason,
        engine,
        exit_code,
        oom_killed,
        started_at,
        finished_at,
        attached,
        image_pull,
        runs: _,
        live,
    } = report;
    let live = Some(live).filter(|live| !live.is_empty()).map(serde_json::to_string).transpose()?;
    let image_pull = image_pull.as_ref().map(serde_json::to_string).transpose()?;
    let oom_killed = *oom_killed || oom_was_reported(was, report);
    let changed = diesel::update(
        dsl::containers
            .filter(dsl::uuid.eq(container.to_string()))
            .filter(dsl::host.eq(host.as_str()))
            .filter(dsl::epoch.eq(was.epoch.0).and(dsl::generation.eq(was.generation))),
    )
    .set((
        dsl::epoch.eq(epoch.0),
        dsl::generation.eq(*generation),
        dsl::status.eq(status.as_str()),
        dsl::task_state.eq(task_state.map(TaskState::as_str)),
        // PostgreSQL refuses a text with a NUL character.
        dsl::status_reason.eq(status_reason.as_ref().map(|reason| reason.replace('\0', ""))),
        dsl::status_detail.eq(None::<String>),
        dsl::exit_code.eq(*exit_code),
        dsl::oom_killed.eq(oom_killed),
        dsl::started_at.eq(started_at.map(|time| time.naive_utc())),
        dsl::finished_at.eq(finished_at.map(|time| time.naive_utc())),
        dsl::attached.eq(i32::try_from(*attached).unwrap_or(i32::MAX)),
        dsl::image_pull.eq(image_pull),
        dsl::live.eq(live),
        dsl::updated_at.eq(environment::now().naive_utc()),
    ))
    .execute(conn)?;
    // A report from before the engine had it, or after it was removed, does not clear the name.
    if let (1.., Some(engine)) = (changed, engine) {
        diesel::update(dsl::containers.filter(dsl::uuid.eq(container.to_string())))
            .set(dsl::engine_id.eq(engine.as_str()))
            .execute(conn)?;
    }
    Ok(changed)
}

/// Stores how the last run of a deleted container ended, for requests that wait for its end.
fn note_end(
    conn: &mut Conn,
    was: &Record,
    (epoch, report): (Epoch, &ContainerReport),
) -> Result<(), DbError> {
    diesel::update(dsl::containers.filter(dsl::uuid.eq(was.id.to_string())))
        .set((
            dsl::epoch.eq(epoch.0),
            dsl::generation.eq(report.generation),
            dsl::exit_code.eq(report.exit_code.or(was.exit_code)),
            dsl::oom_killed.eq(report.oom_killed || oom_was_reported(was, report)),
            dsl::started_at.eq(report.started_at.map(|time| time.naive_utc()).or(was.started_at)),
            dsl::finished_at.eq(report.finished_at.map(|time| time.naive_utc())),
        ))
        .execute(conn)?;
    Ok(())
}

/// Whether an earlier report of the same exit named an out-of-memory kill: an agent that has restarted since then may
/// no longer know it.
fn oom_was_reported(was: &Record, report: &ContainerReport) -> bool {
    let micros = |time: NaiveDateTime| time.and_utc().timestamp_micros();
    let end = report.finished_at.map(|time| micros(time.naive_utc()));
    was.oom_killed && end.is_some() && was.finished_at.map(micros) == end
}

/// Changes the name and the limits of a container, and its claim. Returns `None` if the container is gone. Must run in
/// a transaction.
pub(crate) fn amend(
    conn: &mut Conn,
    id: ContainerId,
    (name, resources): (&str, Resources),
    growth: Growth<'_>,
) -> Result<Option<Record>, DbError> {
    lock::container(conn, id)?;
    let Some(record) = by_id(conn, &Scope::All, id)? else { return Ok(None) };
    let before = record.spec.resources;
    let spec = Spec { name: name.to_owned(), resources, ..record.spec.clone() };
    // Before the name is written: another transaction that holds the project's row may wait for the name.
    if record.host.is_some() && before != resources {
        quota::change(conn, &record.project, (before, resources), growth)?;
    }
    diesel::update(dsl::containers.filter(dsl::uuid.eq(id.to_string())))
        .set((
            dsl::name.eq(name),
            dsl::cpu_millis.eq(i64::from(resources.cpus.millis())),
            dsl::memory_mib.eq(i64::try_from(resources.memory.0).unwrap_or(i64::MAX)),
            dsl::spec.eq(serde_json::to_string(&spec)?),
            dsl::updated_at.eq(environment::now().naive_utc()),
        ))
        .execute(conn)?;
    let former = &record.spec.name;
    if former != name {
        let rename = NewEvent::of(EventAction::Rename).with("name", name);
        let rename = rename.with("oldName", former);
        event::write(conn, &(&record).into(), vec![rename])?;
    }
    if let Some(host) = &record.host {
        host::change_claim(conn, host, (before, resources), growth)?;
    }
    by_id(conn, &Scope::All, id)
}

/// Sets the limits that the host has, and its claim to them. Returns the container if it has changed.
pub(crate) fn set_limits(
    conn: &mut Conn,
    id: ContainerId,
    on_host: Resources,
) -> Result<Option<Record>, DbError> {
    lock::container(conn, id)?;
    match by_id(conn, &Scope::All, id)? {
        Some(record) if record.spec.resources != on_host => {
            amend(conn, id, (&record.spec.name, on_host), Growth::Unchecked)
        }
        Some(_) | None => Ok(None),
    }
}

/// Sets the image that the host has rebuilt it with, and the login to its registry. Returns the container; `None` if it
/// is gone.
pub(crate) fn set_image(
    conn: &mut Conn,
    id: ContainerId,
    (image, registry): (&str, Option<RegistryId>),
) -> Result<Option<Record>, DbError> {
    let Some(record) = by_id(conn, &Scope::All, id)? else { return Ok(None) };
    let spec = Spec { image: image.to_owned(), registry, ..record.spec };
    diesel::update(dsl::containers.filter(dsl::uuid.eq(id.to_string())))
        .set((
            dsl::image.eq(image),
            dsl::spec.eq(serde_json::to_string(&spec)?),
            dsl::updated_at.eq(environment::now().naive_utc()),
        ))
        .execute(conn)?;
    by_id(conn, &Scope::All, id)
}

/// The creation of a container failed before its host reported anything. Returns the container, unless it has changed.
pub(crate) fn fail_creation(
    conn: &mut Conn,
    id: ContainerId,
    reason: &str,
) -> Result<Option<Record>, DbError> {
    let changed = diesel::update(
        dsl::containers
            .filter(dsl::uuid.eq(id.to_string()))
            .filter(dsl::deleted_at.is_null())
            .filter(dsl::status.eq(Status::Creating.as_str())),
    )
    .set((
        dsl::status.eq(Status::Error.as_str()),
        dsl::status_reason.eq(reason),
        dsl::task_state.eq(None::<String>),
        dsl::updated_at.eq(environment::now().naive_utc()),
    ))
    .execute(conn)?;
    if changed == 0 {
        return Ok(None);
    }
    let read = by_id(conn, &Scope::All, id);
    or_stand_in(conn, id, read)
}
