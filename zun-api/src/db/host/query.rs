//! What is asked of the hosts' rows.

use std::collections::HashMap;

use diesel::dsl::{count_star, sql};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use zun_common::id::HostName;
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::row::{Record, Row};
use crate::db::schema::{containers, hosts::dsl};
use crate::db::{Conn, DbError};

/// What the containers of a host have claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) claimed: Resources,
    pub(crate) containers: u64,
}

/// All hosts, in the order of their names.
pub(crate) fn all(conn: &mut Conn) -> Result<Vec<Record>, DbError> {
    let rows: Vec<Row> = dsl::hosts.order(dsl::name.asc()).select(Row::as_select()).load(conn)?;
    rows.into_iter().map(Row::parse).collect()
}

/// One host.
pub(crate) fn by_name(conn: &mut Conn, name: &HostName) -> Result<Option<Record>, DbError> {
    let row: Option<Row> = dsl::hosts
        .filter(dsl::name.eq(name.as_str()))
        .select(Row::as_select())
        .first(conn)
        .optional()?;
    row.map(Row::parse).transpose()
}

/// What each host's containers have claimed, by the host's name. A container holds its claim until its
/// host has confirmed its removal.
pub(crate) fn usage(conn: &mut Conn) -> Result<HashMap<String, Usage>, DbError> {
    use containers::dsl as container;
    // Diesel's sum of `BigInt` is `Numeric`, which SQLite has not; PostgreSQL needs the cast.
    let sums: Vec<(Option<String>, i64, i64, i64)> = container::containers
        .filter(container::host.is_not_null().and(container::gone_at.is_null()))
        .group_by(container::host)
        .select((
            container::host,
            sql::<BigInt>("CAST(SUM(cpu_millis) AS BIGINT)"),
            sql::<BigInt>("CAST(SUM(memory_mib) AS BIGINT)"),
            count_star(),
        ))
        .load(conn)?;
    Ok(sums
        .into_iter()
        .filter_map(|(host, cpus, memory, containers)| {
            let claimed = Resources {
                cpus: Cpus::from_millis(u32::try_from(cpus).unwrap_or(u32::MAX)),
                memory: Mebibytes(u64::try_from(memory).unwrap_or(0)),
            };
            Some((host?, Usage { claimed, containers: u64::try_from(containers).unwrap_or(0) }))
        })
        .collect())
}
