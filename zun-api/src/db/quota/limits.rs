//! The limits of projects, and the default limits.

use diesel::prelude::*;
use zun_common::id::ProjectId;

use super::{Amounts, Conn, DbError, Limited};
use crate::db::schema::{projects, quota_classes};
use crate::db::{Backend, lock, transaction};
use crate::settings::QuotaSettings;

/// The class of projects without their own quota.
const DEFAULT_CLASS: &str = "default";

/// What the containers of a project may have together. -1 is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) containers: i64,
    pub(crate) cpus: i64,
    pub(crate) memory_mib: i64,
    pub(crate) disk_gib: i64,
}

impl Quota {
    pub(super) const fn limit(&self, what: Limited) -> i64 {
        match what {
            Limited::Containers => self.containers,
            Limited::Cpus => self.cpus,
            Limited::Memory => self.memory_mib,
            Limited::Disk => self.disk_gib,
        }
    }
}

impl From<&QuotaSettings> for Quota {
    fn from(settings: &QuotaSettings) -> Self {
        let QuotaSettings { containers, cpu, memory, disk } = *settings;
        Self { containers, cpus: cpu, memory_mib: memory, disk_gib: disk }
    }
}

/// The limits of a project or a class. Those that are missing come from elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = projects, check_for_backend(Backend))]
pub(crate) struct Limits {
    #[diesel(column_name = quota_containers)]
    pub(crate) containers: Option<i64>,
    #[diesel(column_name = quota_cpu)]
    pub(crate) cpus: Option<i64>,
    #[diesel(column_name = quota_memory_mib)]
    pub(crate) memory_mib: Option<i64>,
    #[diesel(column_name = quota_disk_gib)]
    pub(crate) disk_gib: Option<i64>,
}

type Columns = (Option<i64>, Option<i64>, Option<i64>, Option<i64>);

impl Limits {
    /// Completes the limits.
    pub(super) fn or(self, defaults: Quota) -> Quota {
        Quota {
            containers: self.containers.unwrap_or(defaults.containers),
            cpus: self.cpus.unwrap_or(defaults.cpus),
            memory_mib: self.memory_mib.unwrap_or(defaults.memory_mib),
            disk_gib: self.disk_gib.unwrap_or(defaults.disk_gib),
        }
    }
}

/// The limits of projects without their own.
pub(crate) fn class(conn: &mut Conn, settings: &QuotaSettings) -> Result<Quota, DbError> {
    let columns: Option<Columns> = quota_classes::table
        .filter(quota_classes::name.eq(DEFAULT_CLASS))
        .select((
            quota_classes::quota_containers,
            quota_classes::quota_cpu,
            quota_classes::quota_memory_mib,
            quota_classes::quota_disk_gib,
        ))
        .first(conn)
        .optional()?;
    let (containers, cpus, memory_mib, disk_gib) = columns.unwrap_or_default();
    let limits = Limits { containers, cpus, memory_mib, disk_gib };
    Ok(limits.or(Quota::from(settings)))
}

/// The limits of a project.
pub(crate) fn project(
    conn: &mut Conn,
    project: &ProjectId,
    settings: &QuotaSettings,
) -> Result<Quota, DbError> {
    let defaults = class(conn, settings)?;
    Ok(limits_of(conn, project)?.unwrap_or_default().or(defaults))
}

/// The own limits of a project. `None` if it has no row.
pub(super) fn limits_of(conn: &mut Conn, project: &ProjectId) -> Result<Option<Limits>, DbError> {
    let row = projects::table.filter(projects::project_id.eq(project.as_str()));
    Ok(row.select(Limits::as_select()).first(conn).optional()?)
}

/// What the containers of a project have.
pub(crate) fn usage(conn: &mut Conn, project: &ProjectId) -> Result<Amounts, DbError> {
    let columns: Option<(i64, i64, i64, i64)> = projects::table
        .filter(projects::project_id.eq(project.as_str()))
        .select((
            projects::used_containers,
            projects::used_cpu_millis,
            projects::used_memory_mib,
            projects::used_disk_gib,
        ))
        .first(conn)
        .optional()?;
    let (containers, cpu_millis, memory_mib, disk_gib) = columns.unwrap_or_default();
    Ok(Amounts { containers, cpu_millis, memory_mib, disk_gib })
}

/// Inserts the row of a project if it has none.
pub(super) fn ensure(conn: &mut Conn, project: &str) -> Result<(), DbError> {
    let known: i64 =
        projects::table.filter(projects::project_id.eq(project)).count().get_result(conn)?;
    if known > 0 {
        return Ok(());
    }
    insert_once(conn, |conn| {
        diesel::insert_into(projects::table).values(projects::project_id.eq(project)).execute(conn)
    })?;
    Ok(())
}

/// Locks the row of a project until the transaction ends. Inserts it if there is none.
pub(crate) fn lock(conn: &mut Conn, project: &ProjectId) -> Result<(), DbError> {
    ensure(conn, project.as_str())?;
    lock::projects(conn, &[project.as_str()])
}

/// Inserts a row, unless another transaction has inserted the same one meanwhile.
fn insert_once(
    conn: &mut Conn,
    insert: impl FnOnce(&mut Conn) -> QueryResult<usize>,
) -> Result<(), DbError> {
    match transaction(conn, |conn| Ok(insert(conn)?)) {
        Err(error) if error.is_duplicate() => Ok(()),
        inserted => inserted.map(drop),
    }
}

/// Sets the given limits of a project, and keeps the others.
pub(crate) fn set(conn: &mut Conn, project: &ProjectId, limits: &Limits) -> Result<(), DbError> {
    ensure(conn, project.as_str())?;
    if *limits != Limits::default() {
        diesel::update(projects::table.filter(projects::project_id.eq(project.as_str())))
            .set(limits)
            .execute(conn)?;
    }
    Ok(())
}

/// Removes the own limits of a project.
pub(crate) fn reset(conn: &mut Conn, project: &ProjectId) -> Result<(), DbError> {
    diesel::update(projects::table.filter(projects::project_id.eq(project.as_str())))
        .set((
            projects::quota_containers.eq(None::<i64>),
            projects::quota_cpu.eq(None::<i64>),
            projects::quota_memory_mib.eq(None::<i64>),
            projects::quota_disk_gib.eq(None::<i64>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Sets the given limits of projects without their own, and keeps the others.
pub(crate) fn set_class(conn: &mut Conn, limits: &Limits) -> Result<(), DbError> {
    let Limits { containers, cpus, memory_mib, disk_gib } = *limits;
    transaction(conn, |conn| {
        let row = quota_classes::table.filter(quota_classes::name.eq(DEFAULT_CLASS));
        let known: i64 = row.count().get_result(conn)?;
        if known == 0 {
            insert_once(conn, |conn| {
                diesel::insert_into(quota_classes::table)
                    .values(quota_classes::name.eq(DEFAULT_CLASS))
                    .execute(conn)
            })?;
        }
        let current: Columns = row
            .select((
                quota_classes::quota_containers,
                quota_classes::quota_cpu,
                quota_classes::quota_memory_mib,
                quota_classes::quota_disk_gib,
            ))
            .first(conn)?;
        diesel::update(row)
            .set((
                quota_classes::quota_containers.eq(containers.or(current.0)),
                quota_classes::quota_cpu.eq(cpus.or(current.1)),
                quota_classes::quota_memory_mib.eq(memory_mib.or(current.2)),
                quota_classes::quota_disk_gib.eq(disk_gib.or(current.3)),
            ))
            .execute(conn)?;
        Ok(())
    })
}
