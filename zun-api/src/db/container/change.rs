//! What changes a container's row. Each says what happened.

use chrono::{NaiveDateTime, Utc};
use diesel::prelude::*;
use zun_common::id::{ContainerId, HostName, ProjectId, UserId};
use zun_common::rpc::container::ContainerSpec;
use zun_common::rpc::report::ContainerReport;
use zun_common::status::{Status, TaskState};
use zun_common::units::Resources;

use super::query::{Scope, by_id};
use super::row::Record;
use crate::db::schema::containers::{self, dsl};
use crate::db::{Conn, DbError, lock, transaction};

/// A container that is not in the database yet.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    pub(crate) id: ContainerId,
    pub(crate) project: ProjectId,
    pub(crate) user: UserId,
    pub(crate) spec: ContainerSpec,
    pub(crate) start_wanted: bool,
    pub(crate) outlook: Outlook,
}

/// Whether it has a host.
#[derive(Debug, Clone)]
pub(crate) enum Outlook {
    /// It goes to this one, and has what it asks for there from now on.
    Placed(HostName),
    /// No host can take it.
    Hopeless {
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
    tty: bool,
    interactive: bool,
    auto_remove: bool,
    spec: String,
    start_wanted: bool,
    host: Option<String>,
    dispatched: bool,
    generation: i64,
    status: &'static str,
    status_reason: Option<String>,
    status_detail: Option<String>,
    oom_killed: bool,
    attached: i32,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

/// Writes a container's first row.
pub(crate) fn insert(conn: &mut Conn, fresh: Fresh) -> Result<Record, DbError> {
    let now = Utc::now().naive_utc();
    let Fresh { id, project, user, spec, start_wanted, outlook } = fresh;
    let (status, host, status_reason, status_detail) = match outlook {
        Outlook::Placed(host) => (Status::Creating, Some(host.to_string()), None, None),
        Outlook::Hopeless { reason, detail } => (Status::Error, None, Some(reason), Some(detail)),
    };
    let row = NewRow {
        uuid: id.to_string(),
        project_id: project.into(),
        user_id: user.into(),
        name: spec.name.clone(),
        image: spec.image.clone(),
        cpu_millis: i64::from(spec.resources.cpus.millis()),
        memory_mib: i64::try_from(spec.resources.memory.0).unwrap_or(i64::MAX),
        tty: spec.console.tty,
        interactive: spec.console.stdin_open,
        auto_remove: spec.auto_remove,
        spec: serde_json::to_string(&spec)?,
        start_wanted,
        host,
        dispatched: false,
        generation: 0,
        status: status.as_str(),
        status_reason,
        status_detail,
        oom_killed: false,
        attached: 0,
        created_at: now,
        updated_at: now,
    };
    diesel::insert_into(dsl::containers).values(row).execute(conn)?;
    by_id(conn, &Scope::All, id)?.ok_or(DbError::Query(diesel::result::Error::NotFound))
}

/// What came of a report.
#[derive(Debug)]
pub(crate) enum Applied {
    /// The row is so now.
    Newer(Record),
    /// The container is gone, and so is its row; this is how it was last.
    Gone(Record),
    /// It is older than what is known.
    Stale,
    /// The container is another host's.
    Foreign {
        /// Whose it is.
        host: Option<HostName>,
    },
    /// There is no such container.
    Missing,
}

/// Applies a report where it is newer and its host is the container's.
pub(crate) fn apply(conn: &mut Conn, report: &ContainerReport) -> Result<Applied, DbError> {
    transaction(conn, |conn| {
        lock::container(conn, report.container)?;
        let Some(record) = by_id(conn, &Scope::All, report.container)? else {
            return Ok(Applied::Missing);
        };
        if record.host.as_ref() != Some(&report.host) {
            return Ok(Applied::Foreign { host: record.host });
        }
        if write(conn, &record, report)? == 0 {
            return Ok(Applied::Stale);
        }
        let Some(record) = by_id(conn, &Scope::All, report.container)? else {
            return Ok(Applied::Missing);
        };
        if report.status == Status::Deleted {
            remove(conn, record.id)?;
            return Ok(Applied::Gone(record));
        }
        Ok(Applied::Newer(record))
    })
}

fn write(conn: &mut Conn, was: &Record, report: &ContainerReport) -> Result<usize, DbError> {
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
    } = report;
    let image_pull = image_pull.as_ref().map(serde_json::to_string).transpose()?;
    let oom_killed = *oom_killed || was_told_of_shortage(was, report);
    let changed = diesel::update(
        dsl::containers
            .filter(dsl::uuid.eq(container.to_string()))
            .filter(dsl::host.eq(host.as_str()))
            .filter(dsl::generation.lt(generation)),
    )
    .set((
        dsl::generation.eq(generation),
        dsl::dispatched.eq(true),
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
        dsl::updated_at.eq(Utc::now().naive_utc()),
    ))
    .execute(conn)?;
    // A report from before the engine had it, or after it was removed, does not take the name away.
    if let (1.., Some(engine)) = (changed, engine) {
        diesel::update(dsl::containers.filter(dsl::uuid.eq(container.to_string())))
            .set(dsl::engine_id.eq(engine.as_str()))
            .execute(conn)?;
    }
    Ok(changed)
}

/// Whether the same end of the process was told to come of a want of memory: an agent that has started since then may
/// not know that any more.
fn was_told_of_shortage(was: &Record, report: &ContainerReport) -> bool {
    let micros = |time: NaiveDateTime| time.and_utc().timestamp_micros();
    let end = report.finished_at.map(|time| micros(time.naive_utc()));
    was.oom_killed && end.is_some() && was.finished_at.map(micros) == end
}

/// Gives it another name and other limits, and with them another claim; `None` where it is gone. Must run in a
/// transaction.
pub(crate) fn amend(
    conn: &mut Conn,
    id: ContainerId,
    name: &str,
    resources: Resources,
) -> Result<Option<Record>, DbError> {
    lock::container(conn, id)?;
    let Some(record) = by_id(conn, &Scope::All, id)? else { return Ok(None) };
    let spec = ContainerSpec { name: name.to_owned(), resources, ..record.spec };
    diesel::update(dsl::containers.filter(dsl::uuid.eq(id.to_string())))
        .set((
            dsl::name.eq(name),
            dsl::cpu_millis.eq(i64::from(resources.cpus.millis())),
            dsl::memory_mib.eq(i64::try_from(resources.memory.0).unwrap_or(i64::MAX)),
            dsl::spec.eq(serde_json::to_string(&spec)?),
            dsl::updated_at.eq(Utc::now().naive_utc()),
        ))
        .execute(conn)?;
    by_id(conn, &Scope::All, id)
}

/// The command to make it is safe with the bus.
pub(crate) fn mark_dispatched(conn: &mut Conn, id: ContainerId) -> Result<(), DbError> {
    diesel::update(dsl::containers.filter(dsl::uuid.eq(id.to_string())))
        .set(dsl::dispatched.eq(true))
        .execute(conn)?;
    Ok(())
}

/// The command to make it did not go out: it is in error, unless its host has told otherwise. `None`
/// where nothing changed.
pub(crate) fn give_up(
    conn: &mut Conn,
    id: ContainerId,
    reason: &str,
) -> Result<Option<Record>, DbError> {
    let changed = diesel::update(
        dsl::containers
            .filter(dsl::uuid.eq(id.to_string()))
            .filter(dsl::generation.eq(0))
            .filter(dsl::status.eq(Status::Creating.as_str())),
    )
    .set((
        dsl::status.eq(Status::Error.as_str()),
        dsl::status_reason.eq(reason),
        dsl::updated_at.eq(Utc::now().naive_utc()),
    ))
    .execute(conn)?;
    if changed == 0 { Ok(None) } else { by_id(conn, &Scope::All, id) }
}

/// Its removal was accepted: it is `Deleting`, unless its host has told something newer meanwhile.
pub(crate) fn mark_deleting(
    conn: &mut Conn,
    id: ContainerId,
    generation: i64,
) -> Result<Option<Record>, DbError> {
    let changed = diesel::update(
        dsl::containers.filter(dsl::uuid.eq(id.to_string())).filter(dsl::generation.eq(generation)),
    )
    .set((
        dsl::status.eq(Status::Deleting.as_str()),
        dsl::task_state.eq(TaskState::Deleting.as_str()),
        dsl::updated_at.eq(Utc::now().naive_utc()),
    ))
    .execute(conn)?;
    if changed == 0 { Ok(None) } else { by_id(conn, &Scope::All, id) }
}

/// Removes the row, and with it the claim.
pub(crate) fn remove(conn: &mut Conn, id: ContainerId) -> Result<(), DbError> {
    diesel::delete(dsl::containers.filter(dsl::uuid.eq(id.to_string()))).execute(conn)?;
    Ok(())
}
