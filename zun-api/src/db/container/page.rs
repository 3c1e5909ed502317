//! Lists of containers: filters, order, and pages.
//!
//! A page begins after the row that its marker names (keyset pagination): the rows before it are neither read nor counted.
//! Each order ends with the column `id`, so that it is total, and has an index.

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text, Timestamp};
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

    const fn column(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Uuid => "uuid",
            Self::Name => "name",
            Self::Image => "image",
            Self::Status => "status",
            Self::Memory => "memory_mib",
            Self::Cpu => "cpu_millis",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }
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
    Text(String),
    Number(i64),
    Time(NaiveDateTime),
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
    let mut rows = narrowed(scoped(scope), &filter);
    if let Some(marker) = page.marker {
        let marker = scoped(scope).filter(dsl::uuid.eq(marker.to_string()));
        let Some((id, position)) = position(conn, marker, page.key)? else { return Ok(None) };
        rows = beyond(rows, page, id, position);
    }
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    let rows = ordered(rows, page).limit(limit).select(Row::as_select());
    let rows: Vec<Row> = rows.load(conn)?;
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
        SortKey::Uuid => read!(uuid, Position::Text),
        SortKey::Name => read!(name, Position::Text),
        SortKey::Image => read!(image, Position::Text),
        SortKey::Status => read!(status, Position::Text),
        SortKey::Memory => read!(memory_mib, Position::Number),
        SortKey::Cpu => read!(cpu_millis, Position::Number),
        SortKey::CreatedAt => read!(created_at, Position::Time),
        SortKey::UpdatedAt => read!(updated_at, Position::Time),
    })
}

/// Keeps the rows after this one. Both databases search an index for a comparison of row values, which Diesel cannot
/// express.
fn beyond<'a>(rows: Narrowed<'a>, page: &Page, id: i64, position: Position) -> Narrowed<'a> {
    let sign = if page.descending { "<" } else { ">" };
    let start = format!("({}, id) {sign} (", page.key.column());
    let start = sql::<Bool>(&start);
    match position {
        Position::Id if page.descending => rows.filter(dsl::id.lt(id)),
        Position::Id => rows.filter(dsl::id.gt(id)),
        Position::Text(text) => {
            rows.filter(start.bind::<Text, _>(text).sql(", ").bind::<BigInt, _>(id).sql(")"))
        }
        Position::Number(number) => {
            rows.filter(start.bind::<BigInt, _>(number).sql(", ").bind::<BigInt, _>(id).sql(")"))
        }
        Position::Time(time) => {
            rows.filter(start.bind::<Timestamp, _>(time).sql(", ").bind::<BigInt, _>(id).sql(")"))
        }
    }
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
