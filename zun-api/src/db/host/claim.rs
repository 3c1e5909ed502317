//! Claims on a host's resources. A container's row says whether the container holds its claim, and the host's row has
//! the totals; both change in one transaction. The host's row is the last that a transaction locks (see `lock`).
//!
//! Strays, which the database does not know, take their limits from what can be claimed.
//!
//! The totals can exceed what the host offers: its inventory can shrink, the settings can change, and a reduction of
//! limits can be taken back. Then nothing is claimed until enough is released.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double};
use zun_common::id::HostName;
use zun_common::units::{Gibibytes, Resources};

use crate::db::schema::hosts::dsl;
use crate::db::{Conn, DbError};
use crate::settings::{QuotaSettings, SchedulerSettings};

/// What limits claims: the overcommitment of hosts, and the quotas of projects.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClaimSettings {
    pub(crate) scheduler: SchedulerSettings,
    pub(crate) quotas: QuotaSettings,
}

/// Whether a larger claim needs capacity on the host, and in the quota of the project.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Growth<'a> {
    /// An increase must fit. [`DbError::NoCapacity`] if it does not.
    Checked(&'a ClaimSettings),
    /// The container has these limits already.
    Unchecked,
}

/// Claims resources for one more container. [`DbError::NoCapacity`] if they do not fit.
pub(crate) fn claim(
    conn: &mut Conn,
    host: &HostName,
    (wanted, disk): (Resources, Option<Gibibytes>),
    settings: &ClaimSettings,
) -> Result<(), DbError> {
    let change =
        Change { from: Amounts::default(), to: Amounts::with_disk(wanted, disk), containers: 1 };
    apply(conn, host, &change, Growth::Checked(settings))
}

/// Replaces the claim of a container.
pub(crate) fn change_claim(
    conn: &mut Conn,
    host: &HostName,
    (from, to): (Resources, Resources),
    growth: Growth<'_>,
) -> Result<(), DbError> {
    if from == to {
        return Ok(());
    }
    let change = Change { from: Amounts::of(from), to: Amounts::of(to), containers: 0 };
    apply(conn, host, &change, growth)
}

/// Releases the claim of a container: its thousandths of a CPU, its MiB, and its GiB of disk. The caller has cleared
/// the container's `claim_held`.
pub(crate) fn release(
    conn: &mut Conn,
    host: &str,
    (cpu_millis, memory_mib, disk_gib): (i64, i64, i64),
) -> Result<(), DbError> {
    diesel::update(dsl::hosts.filter(dsl::name.eq(host)))
        .set((
            dsl::used_cpu_millis.eq(dsl::used_cpu_millis - cpu_millis),
            dsl::used_memory_mib.eq(dsl::used_memory_mib - memory_mib),
            dsl::used_disk_gib.eq(dsl::used_disk_gib - disk_gib),
            dsl::used_containers.eq(dsl::used_containers - 1),
        ))
        .execute(conn)?;
    Ok(())
}

/// Resources as they are in the columns.
#[derive(Debug, Clone, Copy, Default)]
struct Amounts {
    cpu_millis: i64,
    memory_mib: i64,
    disk_gib: i64,
}

impl Amounts {
    fn of(resources: Resources) -> Self {
        Self {
            cpu_millis: i64::from(resources.cpus.millis()),
            memory_mib: i64::try_from(resources.memory.0).unwrap_or(i64::MAX),
            disk_gib: 0,
        }
    }

    fn with_disk(resources: Resources, disk: Option<Gibibytes>) -> Self {
        let disk_gib = disk.map_or(0, |disk| i64::try_from(disk.0).unwrap_or(i64::MAX));
        Self { disk_gib, ..Self::of(resources) }
    }
}

struct Change {
    from: Amounts,
    to: Amounts,
    containers: i64,
}

fn apply(
    conn: &mut Conn,
    host: &HostName,
    change: &Change,
    growth: Growth<'_>,
) -> Result<(), DbError> {
    let Change { from, to, containers } = change;
    let cpus = to.cpu_millis - from.cpu_millis;
    let memory = to.memory_mib - from.memory_mib;
    let disk = to.disk_gib - from.disk_gib;
    let mut row = diesel::update(dsl::hosts.filter(dsl::name.eq(host.as_str())))
        .filter(dsl::removed_at.is_null())
        .set((
            dsl::used_cpu_millis.eq(dsl::used_cpu_millis + cpus),
            dsl::used_memory_mib.eq(dsl::used_memory_mib + memory),
            dsl::used_disk_gib.eq(dsl::used_disk_gib + disk),
            dsl::used_containers.eq(dsl::used_containers + containers),
        ))
        .into_boxed();
    if let Growth::Checked(ClaimSettings { scheduler: settings, quotas: _ }) = growth {
        // The same numbers as in the scheduler, which has found that it fits.
        if cpus > 0 {
            row = row.filter(dsl::cpu_millis.ge(to.cpu_millis)).filter(
                sql::<Bool>("used_cpu_millis + stray_cpu_millis + ")
                    .bind::<BigInt, _>(cpus)
                    .sql(" <= cpu_millis * ")
                    .bind::<Double, _>(settings.cpu_ratio),
            );
        }
        if memory > 0 {
            row = row.filter(dsl::memory_mib.ge(to.memory_mib)).filter(
                sql::<Bool>("used_memory_mib + stray_memory_mib + ")
                    .bind::<BigInt, _>(memory)
                    .sql(" <= memory_mib * ")
                    .bind::<Double, _>(settings.memory_ratio),
            );
        }
        if disk > 0 {
            row = row.filter(dsl::disk_gib.ge(to.disk_gib)).filter(
                sql::<Bool>("used_disk_gib + ")
                    .bind::<BigInt, _>(disk)
                    .sql(" <= disk_gib * ")
                    .bind::<Double, _>(settings.disk_ratio),
            );
        }
    }
    if row.execute(conn)? == 0 { Err(DbError::NoCapacity) } else { Ok(()) }
}
