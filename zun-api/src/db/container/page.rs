//! Lists of containers: filters, order, and pages.
//!
//! A page begins after the row that its marker names (keyset pagination): the rows before it are neither read nor counted.
//! Each order ends with the column `id`, so that it is total, and has an index.
//!
//! SQLite has no statistics of the values, and takes the index of the order even if the filter matches few rows. Then it
//! reads the whole list to fill a page. So zun-api finds out whether there are few, and hides the order's index from it
//! with a unary `+`. The default order needs none of this: each filter has an index with it.

use std::sync::Arc;

use chrono::NaiveDateTime;
use diesel::dsl::{SqlTypeOf, sql};
use diesel::prelude::*;
use zun_common::id::{ContainerId, HostName};
use zun_common::status::{Status, TaskState};

use super::listed::{Listed, ListedRows};
use super::query::{Narrowed, Scope, scoped, with_tombstones};
use crate::db::schema::containers::dsl;
use crate::db::{Conn, DbError};

/// A column that SQLite does not search an index for.
macro_rules! hidden {
    ($column:ident) => {
        sql::<SqlTypeOf<dsl::$column>>(concat!("+containers.", stringify!($column)))
    };
}

/// The filters of a list; each is an exact match.
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

/// The most rows of a filter that SQLite reads and sorts for a page. Tests see both searches with few rows.
const FEW: i64 = if cfg!(test) { 4 } else { 1000 };

/// How SQLite finds the rows of a page. PostgreSQL decides for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Search {
    /// In the order of the page, by its index.
    InOrder,
    /// By the index of the filter. The rows are sorted.
    ByFilter,
}

/// A filter whose texts a row can hold. PostgreSQL refuses a text with a NUL character, also in a comparison.
struct Storable<'a>(&'a Filter);

impl<'a> Storable<'a> {
    fn new(filter: &'a Filter) -> Option<Self> {
        let texts = [&filter.name, &filter.image, &filter.project, &filter.user];
        texts.into_iter().flatten().all(|text| !text.contains('\0')).then_some(Self(filter))
    }

    /// Whether one of its columns has an index.
    const fn has_index(&self) -> bool {
        // A name has its own index, and matches at most one container of a project.
        let Filter {
            name: _,
            image,
            status,
            task_state,
            host,
            project: _,
            user,
            memory,
            auto_remove,
        } = self.0;
        image.is_some()
            || status.is_some()
            || task_state.is_some()
            || host.is_some()
            || user.is_some()
            || memory.is_some()
            || auto_remove.is_some()
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

/// The containers of a page.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// The containers, in the order of the list.
    pub(crate) containers: Vec<Arc<Listed>>,
    /// The marker of the next page; `None` if the list ends here.
    pub(crate) next: Option<String>,
}

/// One page of a list. `None` if the marker's container does not exist in the scope. A row that cannot be read is a
/// container in Error.
pub(crate) fn page(
    conn: &mut Conn,
    scope: &Scope,
    filter: &Filter,
    page: &Page,
    kept: &ListedRows,
) -> Result<Option<Part>, DbError> {
    let Some(filter) = Storable::new(filter) else { return Ok(Some(Part::default())) };
    let Some(keys) = keys(conn, scope, &filter, page)? else { return Ok(None) };
    let last = keys.last().filter(|_| keys.len() == page.limit);
    let next = last.map(|(uuid, _)| uuid.clone());
    Ok(Some(Part { containers: kept.get(conn, &keys)?, next }))
}

/// The IDs and revisions of the rows of a page.
type Keys = Vec<(String, i64)>;

fn keys(
    conn: &mut Conn,
    scope: &Scope,
    filter: &Storable<'_>,
    page: &Page,
) -> Result<Option<Keys>, DbError> {
    let all = || narrowed(scoped(scope), filter);
    let is_default = page.key == SortKey::Id;
    let search = if !is_default && filter.has_index() && matches_few(conn, all())? {
        Search::ByFilter
    } else {
        Search::InOrder
    };
    let read = |conn: &mut Conn, rows: Narrowed<'_>, limit| load(conn, rows, (page, search), limit);
    let Some(marker) = page.marker else { return read(conn, all(), page.limit).map(Some) };
    // Its container may have been deleted since the page before: the row stays for a while, and with it the place.
    let marker = with_tombstones(scope).filter(dsl::uuid.eq(marker.to_string()));
    let Some((id, position)) = position(conn, marker, page.key)? else { return Ok(None) };
    // Two ranges of one index. SQLite does not search an index for the comparison of (key, ID) as a whole.
    let same = equal(all(), (page, search), id, &position);
    let mut keys = read(conn, same, page.limit)?;
    if keys.len() < page.limit
        && let Some(further) = further(all(), (page, search), &position)
    {
        keys.extend(read(conn, further, page.limit - keys.len())?);
    }
    Ok(Some(keys))
}

/// Whether SQLite finds at most [`FEW`] rows. `rows` has a filter with an index.
fn matches_few(conn: &mut Conn, rows: Narrowed<'_>) -> Result<bool, DbError> {
    if matches!(conn, Conn::Postgres(_)) {
        return Ok(false);
    }
    let further: Option<i64> = rows.select(dsl::id).offset(FEW).first(conn).optional()?;
    Ok(further.is_none())
}

fn load(
    conn: &mut Conn,
    rows: Narrowed<'_>,
    (page, search): (&Page, Search),
    limit: usize,
) -> Result<Keys, DbError> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    Ok(ordered(rows, page, search).limit(limit).select((dsl::uuid, dsl::revision)).load(conn)?)
}

/// Finds the marker's row: its ID, and where it is in the order.
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
fn equal<'a>(
    rows: Narrowed<'a>,
    (page, search): (&Page, Search),
    id: i64,
    position: &Position,
) -> Narrowed<'a> {
    let rows =
        if page.descending { rows.filter(dsl::id.lt(id)) } else { rows.filter(dsl::id.gt(id)) };
    macro_rules! same {
        ($column:ident, $value:expr) => {
            match search {
                Search::InOrder => rows.filter(dsl::$column.eq($value.clone())),
                Search::ByFilter => rows.filter(hidden!($column).eq($value.clone())),
            }
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
fn further<'a>(
    rows: Narrowed<'a>,
    (page, search): (&Page, Search),
    position: &Position,
) -> Option<Narrowed<'a>> {
    macro_rules! beyond {
        ($column:ident, $value:expr) => {
            match (search, page.descending) {
                (Search::InOrder, true) => rows.filter(dsl::$column.lt($value.clone())),
                (Search::InOrder, false) => rows.filter(dsl::$column.gt($value.clone())),
                (Search::ByFilter, true) => rows.filter(hidden!($column).lt($value.clone())),
                (Search::ByFilter, false) => rows.filter(hidden!($column).gt($value.clone())),
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

fn ordered<'a>(rows: Narrowed<'a>, page: &Page, search: Search) -> Narrowed<'a> {
    macro_rules! by {
        ($column:ident) => {
            match (search, page.descending) {
                (Search::InOrder, true) => rows.order((dsl::$column.desc(), dsl::id.desc())),
                (Search::InOrder, false) => rows.order((dsl::$column.asc(), dsl::id.asc())),
                (Search::ByFilter, true) => rows.order((hidden!($column).desc(), dsl::id.desc())),
                (Search::ByFilter, false) => rows.order((hidden!($column).asc(), dsl::id.asc())),
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
        SortKey::Uuid => by!(uuid),
        SortKey::Name => by!(name),
        SortKey::Image => by!(image),
        SortKey::Status => by!(status),
        SortKey::Memory => by!(memory_mib),
        SortKey::Cpu => by!(cpu_millis),
        SortKey::CreatedAt => by!(created_at),
        SortKey::UpdatedAt => by!(updated_at),
    }
}
