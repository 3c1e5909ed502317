//! Lists of containers: filters, order, and pages.
//!
//! A page begins after the row that its marker names (keyset pagination): the rows before it are neither read nor counted.
//! Each order ends with the column `id`, so that it is total, and has an index.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::id::{ContainerId, HostName};
use zun_common::status::{Status, TaskState};

use super::query::{Narrowed, Scope, scoped};
use super::row::{Record, Row};
use super::unreadable;
use crate::db::schema::containers::dsl;
use crate::db::{Conn, DbError};

/// What a list is narrowed to; each is an exact match.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) name: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) status: Option<Status>,
    pub(crate) task_state: Option<TaskState>,
    pub(crate) host: Option<HostName>,
    pub(crate) project: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) memory: Option<i64>,
    pub(crate) auto_remove: Option<bool>,
}

/// What a list is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SortKey {
    /// The order of making.
    #[default]
    Id,
    Uuid,
    Name,
    Image,
    Status,
    Memory,
    Cpu,
    CreatedAt,
    UpdatedAt,
}

impl SortKey {
    /// All, by the name in the API.
    pub(crate) const NAMES: [(&'static str, Self); 9] = [
        ("id", Self::Id),
        ("uuid", Self::Uuid),
        ("name", Self::Name),
        ("image", Self::Image),
        ("status", Self::Status),
        ("memory", Self::Memory),
        ("cpu", Self::Cpu),
        ("created_at", Self::CreatedAt),
        ("updated_at", Self::UpdatedAt),
    ];
}

/// Which part of a list.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) key: SortKey,
    pub(crate) descending: bool,
    pub(crate) marker: Option<ContainerId>,
    pub(crate) limit: usize,
}

/// A filter whose texts a row can hold. PostgreSQL refuses a text with a NUL character, also in a comparison.
struct Storable<'a>(&'a Filter);

impl<'a> Storable<'a> {
    fn new(filter: &'a Filter) -> Option<Self> {
        let texts = [&filter.name, &filter.image, &filter.project, &filter.user];
        texts.into_iter().flatten().all(|text| !text.contains('\0')).then_some(Self(filter))
    }
}

/// The value of the sort key in a row.
enum Position {
    /// The sort key is `id` itself.
    Id,
    Uuid(String),
    Name(String),
    Image(String),
    Status(String),
    Memory(i64),
    Cpu(i64),
    CreatedAt(NaiveDateTime),
    UpdatedAt(NaiveDateTime),
}

/// One page of a list. `None` if the marker's container does not exist in the scope. A row that cannot be read is a
/// container in Error.
pub(crate) fn page(
    conn: &mut Conn,
    scope: &Scope,
    filter: &Filter,
    page: &Page,
) -> Result<Option<Vec<Record>>, DbError> {
    let Some(filter) = Storable::new(filter) else { return Ok(Some(Vec::new())) };
    let all = || narrowed(scoped(scope), &filter);
    let rows = match page.marker {
        None => load(conn, all(), page, page.limit)?,
        Some(marker) => {
            let marker = scoped(scope).filter(dsl::uuid.eq(marker.to_string()));
            let Some((id, position)) = position(conn, marker, page.key)? else { return Ok(None) };
            // Two ranges of one index. SQLite does not search an index for the comparison of (key, id) as a whole.
            let same = equal(all(), page, id, &position);
            let mut rows = load(conn, same, page, page.limit)?;
            if rows.len() < page.limit
                && let Some(further) = further(all(), page, &position)
            {
                rows.extend(load(conn, further, page, page.limit - rows.len())?);
            }
            rows
        }
    };
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        let uuid = row.uuid.clone();
        match row.parse() {
            Ok(record) => records.push(record),
            Err(cause) => records.extend(unreadable::stand_in(conn, &uuid, &cause)?),
        }
    }
    Ok(Some(records))
}

fn load(
    conn: &mut Conn,
    rows: Narrowed<'_>,
    page: &Page,
    limit: usize,
) -> Result<Vec<Row>, DbError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(ordered(rows, page).limit(limit).select(Row::as_select()).load(conn)?)
}

/// Finds the marker's row: its id, and where it is in the order.
fn position(
    conn: &mut Conn,
    marker: Narrowed<'_>,
    key: SortKey,
) -> Result<Option<(i64, Position)>, DbError> {
    macro_rules! read {
        ($column:ident, $variant:path) => {{
            let found = marker.select((dsl::id, dsl::$column)).first(conn).optional()?;
            found.map(|(id, value)| (id, $variant(value)))
        }};
    }
    Ok(match key {
        SortKey::Id => {
            let found: Option<i64> = marker.select(dsl::id).first(conn).optional()?;
            found.map(|id| (id, Position::Id))
        }
        SortKey::Uuid => read!(uuid, Position::Uuid),
        SortKey::Name => read!(name, Position::Name),
        SortKey::Image => read!(image, Position::Image),
        SortKey::Status => read!(status, Position::Status),
        SortKey::Memory => read!(memory_mib, Position::Memory),
        SortKey::Cpu => read!(cpu_millis, Position::Cpu),
        SortKey::CreatedAt => read!(created_at, Position::CreatedAt),
        SortKey::UpdatedAt => read!(updated_at, Position::UpdatedAt),
    })
}

/// Keeps the rows after this one that have the same value of the sort key.
fn equal<'a>(rows: Narrowed<'a>, page: &Page, id: i64, position: &Position) -> Narrowed<'a> {
    let rows =
        if page.descending { rows.filter(dsl::id.lt(id)) } else { rows.filter(dsl::id.gt(id)) };
    macro_rules! same {
        ($column:ident, $value:expr) => {
            rows.filter(dsl::$column.eq($value.clone()))
        };
    }
    match position {
        Position::Id => rows,
        Position::Uuid(value) => same!(uuid, value),
        Position::Name(value) => same!(name, value),
        Position::Image(value) => same!(image, value),
        Position::Status(value) => same!(status, value),
        Position::Memory(value) => same!(memory_mib, value),
        Position::Cpu(value) => same!(cpu_millis, value),
        Position::CreatedAt(value) => same!(created_at, value),
        Position::UpdatedAt(value) => same!(updated_at, value),
    }
}

/// Keeps the rows whose value of the sort key comes after this one. `None` if there can be none.
fn further<'a>(rows: Narrowed<'a>, page: &Page, position: &Position) -> Option<Narrowed<'a>> {
    macro_rules! beyond {
        ($column:ident, $value:expr) => {
            if page.descending {
                rows.filter(dsl::$column.lt($value.clone()))
            } else {
                rows.filter(dsl::$column.gt($value.clone()))
            }
        };
    }
    Some(match position {
        Position::Id => return None,
        Position::Uuid(value) => beyond!(uuid, value),
        Position::Name(value) => beyond!(name, value),
        Position::Image(value) => beyond!(image, value),
        Position::Status(value) => beyond!(status, value),
        Position::Memory(value) => beyond!(memory_mib, value),
        Position::Cpu(value) => beyond!(cpu_millis, value),
        Position::CreatedAt(value) => beyond!(created_at, value),
        Position::UpdatedAt(value) => beyond!(updated_at, value),
    })
}

fn narrowed<'a>(mut rows: Narrowed<'a>, filter: &Storable<'_>) -> Narrowed<'a> {
    let Filter { name, image, status, task_state, host, project, user, memory, auto_remove } =
        filter.0;
    if let Some(name) = name {
        rows = rows.filter(dsl::name.eq(name.clone()));
    }
    if let Some(image) = image {
        rows = rows.filter(dsl::image.eq(image.clone()));
    }
    if let Some(status) = status {
        rows = rows.filter(dsl::status.eq(status.as_str()));
    }
    if let Some(task_state) = task_state {
        rows = rows.filter(dsl::task_state.eq(task_state.as_str()));
    }
    if let Some(host) = host {
        rows = rows.filter(dsl::host.eq(host.to_string()));
    }
    if let Some(project) = project {
        rows = rows.filter(dsl::project_id.eq(project.clone()));
    }
    if let Some(user) = user {
        rows = rows.filter(dsl::user_id.eq(user.clone()));
    }
    if let Some(memory) = memory {
        rows = rows.filter(dsl::memory_mib.eq(*memory));
    }
    if let Some(auto_remove) = auto_remove {
        rows = rows.filter(dsl::auto_remove.eq(*auto_remove));
    }
    rows
}

fn ordered<'a>(rows: Narrowed<'a>, page: &Page) -> Narrowed<'a> {
    macro_rules! by {
        ($column:expr) => {
            if page.descending {
                rows.order(($column.desc(), dsl::id.desc()))
            } else {
                rows.order(($column.asc(), dsl::id.asc()))
            }
        };
    }
    match page.key {
        SortKey::Id => {
            if page.descending {
                rows.order(dsl::id.desc())
            } else {
                rows.order(dsl::id.asc())
            }
        }
        SortKey::Uuid => by!(dsl::uuid),
        SortKey::Name => by!(dsl::name),
        SortKey::Image => by!(dsl::image),
        SortKey::Status => by!(dsl::status),
        SortKey::Memory => by!(dsl::memory_mib),
        SortKey::Cpu => by!(dsl::cpu_millis),
        SortKey::CreatedAt => by!(dsl::created_at),
        SortKey::UpdatedAt => by!(dsl::updated_at),
    }
}
