//! What is asked of the containers' rows.

use diesel::prelude::*;
use zun_common::id::{ContainerId, HostName, ProjectId};
use zun_common::status::{Status, TaskState};

use super::row::{Record, Row};
use crate::db::schema::containers::dsl;
use crate::db::{Backend, Conn, DbError};

/// Whose containers are looked at. Every question names it.
#[derive(Debug, Clone)]
pub(crate) enum Scope {
    /// Those of one project.
    Project(ProjectId),
    /// Everybody's; administrators only.
    All,
}

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

type Narrowed<'a> = diesel::dsl::IntoBoxed<'a, dsl::containers, Backend>;

fn scoped<'a>(scope: &Scope) -> Narrowed<'a> {
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

/// The container with this id.
pub(crate) fn by_id(
    conn: &mut Conn,
    scope: &Scope,
    id: ContainerId,
) -> Result<Option<Record>, DbError> {
    Ok(read(scoped(scope).filter(dsl::uuid.eq(id.to_string())), conn)?.pop())
}

/// A row by its id: its container, or why it cannot be read.
pub(crate) type ReadRow = (ContainerId, Result<Record, DbError>);

/// The containers with these ids. A row that cannot be read does not fail the others.
pub(crate) fn by_ids(conn: &mut Conn, ids: &[ContainerId]) -> Result<Vec<ReadRow>, DbError> {
    let names = ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rows = scoped(&Scope::All).filter(dsl::uuid.eq_any(names)).select(Row::as_select());
    let rows: Vec<Row> = rows.load(conn)?;
    Ok(rows.into_iter().filter_map(|row| Some((row.uuid.parse().ok()?, row.parse()))).collect())
}

/// The containers with this name: more than one only over several projects.
pub(crate) fn by_name(conn: &mut Conn, scope: &Scope, name: &str) -> Result<Vec<Record>, DbError> {
    read(scoped(scope).filter(dsl::name.eq(name.to_owned())).limit(2), conn)
}

/// Whether a container of the project has this name.
pub(crate) fn name_taken(
    conn: &mut Conn,
    project: &ProjectId,
    name: &str,
) -> Result<bool, DbError> {
    let same =
        dsl::containers.filter(dsl::project_id.eq(project.as_str())).filter(dsl::name.eq(name));
    Ok(diesel::select(diesel::dsl::exists(same)).get_result(conn)?)
}

/// One page of a list; `None` where the marker is not in it.
pub(crate) fn page(
    conn: &mut Conn,
    scope: &Scope,
    filter: &Filter,
    page: &Page,
) -> Result<Option<Vec<Record>>, DbError> {
    // The order of all, by identifiers alone; then only the page's rows are read.
    let ids: Vec<String> =
        ordered(narrowed(scoped(scope), filter), page).select(dsl::uuid).load(conn)?;
    let begin = match page.marker {
        None => 0,
        Some(marker) => {
            let marker = marker.to_string();
            match ids.iter().position(|id| *id == marker) {
                Some(position) => position + 1,
                None => return Ok(None),
            }
        }
    };
    let wanted: Vec<String> = ids.into_iter().skip(begin).take(page.limit).collect();
    let rows = ordered(scoped(scope).filter(dsl::uuid.eq_any(wanted)), page);
    read(rows, conn).map(Some)
}

fn narrowed<'a>(mut rows: Narrowed<'a>, filter: &Filter) -> Narrowed<'a> {
    let Filter { name, image, status, task_state, host, project, user, memory, auto_remove } =
        filter;
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

/// All containers of a host.
pub(crate) fn assigned(conn: &mut Conn, host: &HostName) -> Result<Vec<Record>, DbError> {
    read(scoped(&Scope::All).filter(dsl::host.eq(host.to_string())), conn)
}

/// Containers that were placed and whose command to make them may never have gone out.
pub(crate) fn undispatched(conn: &mut Conn) -> Result<Vec<Record>, DbError> {
    let rows = scoped(&Scope::All)
        .filter(dsl::status.eq(Status::Creating.as_str()))
        .filter(dsl::host.is_not_null())
        .filter(dsl::generation.eq(0))
        .filter(dsl::dispatched.eq(false));
    read(rows, conn)
}
