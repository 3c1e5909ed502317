//! Reserves and releases a container's share of its project's quota.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};
use zun_common::id::ProjectId;
use zun_common::units::{Gibibytes, Resources};

use super::limits::{class, ensure, limits_of, usage};
use super::{Conn, DbError, ExceededLimit, Growth, Limited, OverQuota, Quota};
use crate::db::schema::projects::dsl;
use crate::settings::QuotaSettings;

/// Amounts as they are in the columns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) containers: i64,
    pub(crate) cpu_millis: i64,
    pub(crate) memory_mib: i64,
    pub(crate) disk_gib: i64,
}

impl Amounts {
    /// One container with these resources.
    pub(crate) fn container(resources: Resources, disk: Option<Gibibytes>) -> Self {
        Self {
            containers: 1,
            cpu_millis: i64::from(resources.cpus.millis()),
            memory_mib: i64::try_from(resources.memory.0).unwrap_or(i64::MAX),
            disk_gib: disk.map_or(0, |disk| i64::try_from(disk.0).unwrap_or(i64::MAX)),
        }
    }

    /// The difference between two amounts of the same container.
    fn between(from: Resources, to: Resources) -> Self {
        let (from, to) = (Self::container(from, None), Self::container(to, None));
        Self {
            containers: 0,
            cpu_millis: to.cpu_millis - from.cpu_millis,
            memory_mib: to.memory_mib - from.memory_mib,
            disk_gib: 0,
        }
    }

    const fn negated(self) -> Self {
        let Self { containers, cpu_millis, memory_mib, disk_gib } = self;
        Self {
            containers: -containers,
            cpu_millis: -cpu_millis,
            memory_mib: -memory_mib,
            disk_gib: -disk_gib,
        }
    }

    const fn all(self) -> [(Limited, i64); 4] {
        let Self { containers, cpu_millis, memory_mib, disk_gib } = self;
        [
            (Limited::Containers, containers),
            (Limited::Cpus, cpu_millis),
            (Limited::Memory, memory_mib),
            (Limited::Disk, disk_gib),
        ]
    }
}

/// Reserves amounts for a project. [`DbError::OverQuota`] if they exceed its quota.
pub(crate) fn reserve(
    conn: &mut Conn,
    project: &ProjectId,
    wanted: Amounts,
    settings: &QuotaSettings,
) -> Result<(), DbError> {
    let defaults = class(conn, settings)?;
    if add(conn, project.as_str(), wanted, Some(&defaults))? {
        return Ok(());
    }
    // The row may have been missing. If it is there now, another transaction may have inserted it.
    ensure(conn, project.as_str())?;
    if add(conn, project.as_str(), wanted, Some(&defaults))? {
        return Ok(());
    }
    let excesses = beyond(conn, project, (wanted, defaults))?;
    // Another transaction has released enough meanwhile, so the caller must begin again.
    if excesses.is_empty() {
        Err(DbError::NoCapacity)
    } else {
        Err(DbError::OverQuota(OverQuota(excesses)))
    }
}

/// Like [`reserve`], but reserves nothing.
pub(crate) fn check(
    conn: &mut Conn,
    project: &ProjectId,
    wanted: Amounts,
    settings: &QuotaSettings,
) -> Result<(), DbError> {
    let defaults = class(conn, settings)?;
    let excesses = beyond(conn, project, (wanted, defaults))?;
    if excesses.is_empty() { Ok(()) } else { Err(DbError::OverQuota(OverQuota(excesses))) }
}

/// The limits that amounts exceed.
fn beyond(
    conn: &mut Conn,
    project: &ProjectId,
    (wanted, defaults): (Amounts, Quota),
) -> Result<Vec<ExceededLimit>, DbError> {
    let allowed = limits_of(conn, project)?.unwrap_or_default().or(defaults);
    Ok(excesses(usage(conn, project)?, wanted, &allowed))
}

/// Replaces what a container has by other limits.
pub(crate) fn change(
    conn: &mut Conn,
    project: &ProjectId,
    (from, to): (Resources, Resources),
    growth: Growth<'_>,
) -> Result<(), DbError> {
    let wanted = Amounts::between(from, to);
    match growth {
        Growth::Checked(settings) => reserve(conn, project, wanted, &settings.quotas),
        Growth::Unchecked => add(conn, project.as_str(), wanted, None).map(drop),
    }
}

/// Releases amounts of a project.
pub(crate) fn release(conn: &mut Conn, project: &str, amounts: Amounts) -> Result<(), DbError> {
    add(conn, project, amounts.negated(), None).map(drop)
}

/// Adds to the usage. Increases must not exceed the limits, if there are any. Returns whether the row was changed.
fn add(
    conn: &mut Conn,
    project: &str,
    amounts: Amounts,
    limits: Option<&Quota>,
) -> Result<bool, DbError> {
    let Amounts { containers, cpu_millis, memory_mib, disk_gib } = amounts;
    let mut row = diesel::update(dsl::projects.filter(dsl::project_id.eq(project)))
        .set((
            dsl::used_containers.eq(dsl::used_containers + containers),
            dsl::used_cpu_millis.eq(dsl::used_cpu_millis + cpu_millis),
            dsl::used_memory_mib.eq(dsl::used_memory_mib + memory_mib),
            dsl::used_disk_gib.eq(dsl::used_disk_gib + disk_gib),
        ))
        .into_boxed();
    if let Some(limits) = limits {
        for (what, amount) in amounts.all().into_iter().filter(|(_, amount)| *amount > 0) {
            let (used, quota, unit) = columns(what);
            let default = limits.limit(what);
            let limit = format!("coalesce({quota}, ");
            row = row.filter(
                sql::<Bool>(&format!("({limit}"))
                    .bind::<BigInt, _>(default)
                    .sql(&format!(") < 0 OR {used} + "))
                    .bind::<BigInt, _>(amount)
                    .sql(&format!(" <= {limit}"))
                    .bind::<BigInt, _>(default)
                    .sql(&format!(") * {unit})")),
            );
        }
    }
    Ok(row.execute(conn)? > 0)
}

/// The columns of a resource, and how many units of its usage are one of its limit.
const fn columns(what: Limited) -> (&'static str, &'static str, i64) {
    match what {
        Limited::Containers => ("used_containers", "quota_containers", 1),
        Limited::Cpus => ("used_cpu_millis", "quota_cpu", 1000),
        Limited::Memory => ("used_memory_mib", "quota_memory_mib", 1),
        Limited::Disk => ("used_disk_gib", "quota_disk_gib", 1),
    }
}

fn excesses(used: Amounts, wanted: Amounts, allowed: &Quota) -> Vec<ExceededLimit> {
    let pairs = used.all().into_iter().zip(wanted.all());
    let excess = |((what, used), (_, requested)): ((Limited, i64), (Limited, i64))| {
        let allowed = allowed.limit(what).saturating_mul(columns(what).2);
        let exceeds = requested > 0 && allowed >= 0 && used.saturating_add(requested) > allowed;
        exceeds.then_some(ExceededLimit { what, requested, used, allowed })
    };
    pairs.filter_map(excess).collect()
}
