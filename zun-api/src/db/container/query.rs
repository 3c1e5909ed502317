//! Queries of containers' rows.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::Deserialize;
use zun_common::id::{ContainerId, EngineId, HostName, ProjectId};
use zun_common::rpc::digest::{Digest, ReportHash};
use zun_common::status::Status;

use super::row::{Record, Row};
use crate::db::schema::containers::{self, dsl};
use crate::db::{Backend, Conn, DbError};

/// The projects that a query covers. Every query has a scope.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// Those of one project.
    Project(ProjectId),
    /// Everybody's; administrators only.
    All,
}

/// A query for containers.
pub(super) type Narrowed<'a> = diesel::dsl::IntoBoxed<'a, dsl::containers, Backend>;

/// The containers of a scope that are not deleted.
pub(super) fn scoped<'a>(scope: &Scope) -> Narrowed<'a> {
    with_tombstones(scope).filter(dsl::deleted_at.is_null())
}

/// The containers of a scope, also those that are deleted.
pub(super) fn with_tombstones<'a>(scope: &Scope) -> Narrowed<'a> {
    let all = dsl::containers.into_boxed();
    match scope {
        Scope::All => all,
        Scope::Project(project) => all.filter(dsl::project_id.eq(project.to_string())),
    }
}

fn read(rows: Narrowed<'_>, conn: &mut Conn) -> Result<Vec<Record>, DbError> {
    let rows: Vec<Row> = rows.select(Row::as_select()).load(conn)?;
    rows.into_iter().map(Row::parse).collect()
}

/// The container with this ID.
pub(crate) fn by_id(
    conn: &mut Conn,
    scope: &Scope,
    id: ContainerId,
) -> Result<Option<Record>, DbError> {
    Ok(read(scoped(scope).filter(dsl::uuid.eq(id.to_string())), conn)?.pop())
}

/// A row by its ID: its container, or why it cannot be read.
pub(crate) type ReadRow = (ContainerId, Result<Record, DbError>);

/// The containers with these IDs, also deleted ones. A row that cannot be read does not fail the others.
pub(crate) fn by_ids(conn: &mut Conn, ids: &[ContainerId]) -> Result<Vec<ReadRow>, DbError> {
    let names = ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rows = dsl::containers.filter(dsl::uuid.eq_any(names)).select(Row::as_select());
    let rows: Vec<Row> = rows.load(conn)?;
    Ok(rows.into_iter().filter_map(|row| Some((row.uuid.parse().ok()?, row.parse()))).collect())
}

/// The container with this ID, even if it is deleted.
pub(crate) fn with_tombstone(conn: &mut Conn, id: ContainerId) -> Result<Option<Record>, DbError> {
    Ok(read(dsl::containers.filter(dsl::uuid.eq(id.to_string())).into_boxed(), conn)?.pop())
}

/// The containers with this name: which can be several only if the scope has several projects.
pub(crate) fn by_name(conn: &mut Conn, scope: &Scope, name: &str) -> Result<Vec<Record>, DbError> {
    // No row can hold it, and PostgreSQL refuses the comparison.
    if name.contains('\0') {
        return Ok(Vec::new());
    }
    read(scoped(scope).filter(dsl::name.eq(name.to_owned())).limit(2), conn)
}

/// The length of Docker's IDs.
const LONGEST_ENGINE_ID: usize = 64;

/// At most `limit` containers whose ID begins with this text. If there are none, those whose ID from their engine does:
/// lists do not show it. None if no ID can begin so.
pub(crate) fn by_id_beginning(
    conn: &mut Conn,
    scope: &Scope,
    text: &str,
    limit: usize,
) -> Result<Vec<Record>, DbError> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    if text.is_empty() || text.len() > LONGEST_ENGINE_ID || !text.bytes().all(is_digit) {
        return Ok(Vec::new());
    }
    // Ranges of the indexes on the IDs: `g` comes after every character of an ID. SQLite would use none of them for
    // both ranges in one query.
    let (from, beyond) = (text.to_owned(), format!("{text}g"));
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let own = dsl::uuid.ge(from.clone()).and(dsl::uuid.lt(beyond.clone()));
    let found = read(scoped(scope).filter(own).order(dsl::uuid).limit(most), conn)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let engines = dsl::engine_id.ge(from).and(dsl::engine_id.lt(beyond));
    read(scoped(scope).filter(engines).order(dsl::engine_id).limit(most), conn)
}

/// The number of containers that are not deleted, by status.
pub(crate) fn count_by_status(conn: &mut Conn) -> Result<Vec<(String, i64)>, DbError> {
    let present = dsl::containers.filter(dsl::deleted_at.is_null()).group_by(dsl::status);
    Ok(present.select((dsl::status, diesel::dsl::count_star())).load(conn)?)
}

/// Whether a container of the project has this name.
pub(crate) fn name_taken(
    conn: &mut Conn,
    project: &ProjectId,
    name: &str,
) -> Result<bool, DbError> {
    let same = dsl::containers
        .filter(dsl::project_id.eq(project.as_str()))
        .filter(dsl::name.eq(name))
        .filter(dsl::deleted_at.is_null());
    Ok(diesel::select(diesel::dsl::exists(same)).get_result(conn)?)
}

/// What agents have reported of the containers on a host. Counts those that [`assigned`] shows as reported.
pub(crate) fn digest(conn: &mut Conn, host: &HostName) -> Result<Digest, DbError> {
    let rows: Vec<(String, i64, String, Option<String>)> = dsl::containers
        .filter(dsl::host.eq(host.as_str()).and(dsl::gone_at.is_null()))
        .filter(dsl::deleted_at.is_null().and(dsl::epoch.gt(0)))
        .select((dsl::uuid, dsl::run, dsl::status, dsl::task_state))
        .load(conn)?;
    let hash = |(uuid, run, status, task): (String, i64, String, Option<String>)| {
        Some(ReportHash::of(uuid.parse().ok()?, run, (&status, task.as_deref())))
    };
    Ok(rows.into_iter().filter_map(hash).collect())
}

/// A container that should be on a host.
#[derive(Debug)]
pub(crate) struct Assigned {
    pub(crate) id: ContainerId,
    /// Error if this build does not know the stored one.
    pub(crate) status: Status,
    pub(crate) engine: Option<EngineId>,
    pub(crate) auto_remove: bool,
    /// What agents have reported of it; `None` if nothing was reported, or if it is deleted.
    pub(crate) reported: Option<ReportHash>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = containers, check_for_backend(Backend))]
struct AssignedRow {
    uuid: String,
    status: String,
    task_state: Option<String>,
    engine_id: Option<String>,
    auto_remove: bool,
    epoch: i64,
    run: i64,
    deleted_at: Option<NaiveDateTime>,
}

impl AssignedRow {
    fn parse(self) -> Option<Assigned> {
        let id = self.uuid.parse().ok()?;
        let is_reported = self.epoch > 0 && self.deleted_at.is_none();
        let stored = (self.status.as_str(), self.task_state.as_deref());
        let reported = is_reported.then(|| ReportHash::of(id, self.run, stored));
        Some(Assigned {
            id,
            status: self.status.parse().unwrap_or(Status::Error),
            engine: self.engine_id.and_then(|engine| engine.parse().ok()),
            auto_remove: self.auto_remove,
            reported,
        })
    }
}

/// All containers that should be on a host, and those whose removal it has not confirmed. Reads only the columns that the
/// host needs: a row with a spec that this build cannot read is one of them.
pub(crate) fn assigned(conn: &mut Conn, host: &HostName) -> Result<Vec<Assigned>, DbError> {
    let rows: Vec<AssignedRow> = dsl::containers
        .filter(dsl::host.eq(host.to_string()).and(dsl::gone_at.is_null()))
        .select(AssignedRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().filter_map(AssignedRow::parse).collect())
}

/// The containers of a scope that are on a host, with their names and hosts.
pub(crate) fn placed(
    conn: &mut Conn,
    scope: &Scope,
) -> Result<Vec<(ContainerId, String, HostName)>, DbError> {
    let rows: Vec<(String, String, Option<String>)> =
        scoped(scope).select((dsl::uuid, dsl::name, dsl::host)).load(conn)?;
    let placed = |(uuid, name, host): (String, String, Option<String>)| {
        Some((uuid.parse().ok()?, name, host?.parse().ok()?))
    };
    Ok(rows.into_iter().filter_map(placed).collect())
}

/// Where a container is, and its labels.
type Labelled = (String, BTreeMap<String, String>);

/// The labels in a stored spec.
#[derive(Debug, Default, Deserialize)]
struct Labels {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The labels of the containers with these IDs, also of deleted ones. A spec that cannot be read has none.
pub(crate) fn labels(
    conn: &mut Conn,
    ids: &[&str],
) -> Result<BTreeMap<String, BTreeMap<String, String>>, DbError> {
    let rows: Vec<(String, String)> =
        dsl::containers.filter(dsl::uuid.eq_any(ids)).select((dsl::uuid, dsl::spec)).load(conn)?;
    let labelled = |(uuid, spec): (String, String)| {
        let Labels { labels } = serde_json::from_str(&spec).unwrap_or_default();
        (uuid, labels)
    };
    Ok(rows.into_iter().map(labelled).collect())
}

/// The hosts of a project's containers, and the labels of each container. A spec that cannot be read has none.
pub(crate) fn labels_by_host(
    conn: &mut Conn,
    project: &ProjectId,
) -> Result<Vec<Labelled>, DbError> {
    let rows: Vec<(Option<String>, String)> = dsl::containers
        .filter(dsl::project_id.eq(project.as_str()))
        .filter(dsl::claim_held.eq(true))
        .select((dsl::host, dsl::spec))
        .load(conn)?;
    let labelled = |(host, spec): (Option<String>, String)| {
        let Labels { labels } = serde_json::from_str(&spec).unwrap_or_default();
        Some((host?, labels))
    };
    Ok(rows.into_iter().filter_map(labelled).collect())
}
