//! Volumes and networks of hosts, and which containers use them. The first container that uses one pins it to its host.
//!
//! A transaction that changes one locks its row before a host's row.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::api::v1::event::{EventAction, EventType};
use zun_common::id::{ContainerId, HostName, ProjectId, ResourceId, UserId};
use zun_common::resource::{Ipv4Subnet, NetworkOptions, ResourceKind};

use super::column::{json, parse, parse_optional, unreadable};
use super::container::Scope;
use super::event::{self, About, NewEvent};
use super::schema::resource_uses::dsl as uses;
use super::schema::resources::{self, dsl};
use super::{Backend, Conn, DbError, now};

/// How many of a kind a project can have.
pub(crate) const MAX_PER_PROJECT: i64 = 200;

/// A volume or a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: ResourceId,
    pub(crate) kind: ResourceKind,
    pub(crate) project: ProjectId,
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) host: Option<HostName>,
    pub(crate) options: NetworkOptions,
    pub(crate) created_at: NaiveDateTime,
}

/// One to create.
#[derive(Debug, Clone)]
pub(crate) struct Fresh {
    pub(crate) kind: ResourceKind,
    pub(crate) project: ProjectId,
    pub(crate) user: UserId,
    pub(crate) name: String,
    pub(crate) options: NetworkOptions,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = resources, check_for_backend(Backend))]
struct Row {
    uuid: String,
    kind: String,
    project_id: String,
    user_id: String,
    name: String,
    host: Option<String>,
    options: String,
    created_at: NaiveDateTime,
    deleted_at: Option<NaiveDateTime>,
}

/// The text in a column is not one that this build writes.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the kind of a resource")]
struct UnknownKind(String);

impl Row {
    fn parse(self) -> Result<Record, DbError> {
        let row = &self.uuid;
        let kind = ResourceKind::ALL.into_iter().find(|kind| kind.as_str() == self.kind);
        Ok(Record {
            id: parse("uuid", row, &self.uuid)?,
            kind: kind.ok_or_else(|| unreadable("kind", row, UnknownKind(self.kind)))?,
            project: parse("project_id", row, &self.project_id)?,
            user: parse("user_id", row, &self.user_id)?,
            name: self.name,
            host: parse_optional("host", row, self.host.as_deref())?,
            options: json("options", row, &self.options)?,
            created_at: self.created_at,
        })
    }
}

type Narrowed<'a> = diesel::dsl::IntoBoxed<'a, dsl::resources, Backend>;

fn read(rows: Narrowed<'_>, conn: &mut Conn) -> Result<Vec<Record>, DbError> {
    let rows: Vec<Row> = rows.order(dsl::id.asc()).select(Row::as_select()).load(conn)?;
    rows.into_iter().map(Row::parse).collect()
}

fn scoped<'a>(scope: &Scope, kind: ResourceKind) -> Narrowed<'a> {
    let all = dsl::resources
        .filter(dsl::kind.eq(kind.as_str()).and(dsl::deleted_at.is_null()))
        .into_boxed();
    match scope {
        Scope::All => all,
        Scope::Project(project) => all.filter(dsl::project_id.eq(project.to_string())),
    }
}

/// How many networks without a subnet of their own each host has, also deleted ones that it has not removed yet.
pub(crate) fn networks_by_host(conn: &mut Conn) -> Result<BTreeMap<String, u32>, DbError> {
    let rows: Vec<Row> = dsl::resources
        .filter(dsl::kind.eq(ResourceKind::Network.as_str()).and(dsl::host.is_not_null()))
        .select(Row::as_select())
        .load(conn)?;
    let mut counts = BTreeMap::new();
    for record in rows.into_iter().map(Row::parse) {
        // A row that cannot be read must not prevent the creation of containers.
        let Ok(Record { host: Some(host), options, .. }) = record else { continue };
        if options.subnet.is_none() {
            *counts.entry(host.to_string()).or_default() += 1;
        }
    }
    Ok(counts)
}

/// The hosts that have a network whose subnet overlaps with this one, also a deleted one that is not removed yet.
pub(crate) fn hosts_with_subnet(
    conn: &mut Conn,
    wanted: &str,
) -> Result<BTreeSet<String>, DbError> {
    let rows: Vec<Row> = dsl::resources
        .filter(dsl::kind.eq(ResourceKind::Network.as_str()).and(dsl::host.is_not_null()))
        .select(Row::as_select())
        .load(conn)?;
    let mut hosts = BTreeSet::new();
    // A request with another one is refused.
    let Ok(wanted) = wanted.parse::<Ipv4Subnet>() else { return Ok(hosts) };
    for record in rows.into_iter().map(Row::parse) {
        let Record { host: Some(host), options, .. } = record? else { continue };
        let subnet = options.subnet.and_then(|subnet| subnet.parse::<Ipv4Subnet>().ok());
        if subnet.is_some_and(|subnet| subnet.overlaps(wanted)) {
            hosts.insert(host.to_string());
        }
    }
    Ok(hosts)
}

/// The networks of the project that have no host yet, and have some of these addresses.
pub(crate) fn unplaced_with_subnet(
    conn: &mut Conn,
    project: &ProjectId,
    wanted: &str,
) -> Result<Vec<Record>, DbError> {
    let rows: Vec<Row> = dsl::resources
        .filter(dsl::kind.eq(ResourceKind::Network.as_str()).and(dsl::host.is_null()))
        .filter(dsl::project_id.eq(project.as_str()).and(dsl::deleted_at.is_null()))
        .select(Row::as_select())
        .load(conn)?;
    let Ok(wanted) = wanted.parse::<Ipv4Subnet>() else { return Ok(Vec::new()) };
    let mut found = rows.into_iter().map(Row::parse).collect::<Result<Vec<Record>, _>>()?;
    found.retain(|record| {
        let subnet =
            record.options.subnet.as_ref().and_then(|subnet| subnet.parse::<Ipv4Subnet>().ok());
        subnet.is_some_and(|subnet| subnet.overlaps(wanted))
    });
    Ok(found)
}

/// Whether the project has as many as it can have.
pub(crate) fn is_full(
    conn: &mut Conn,
    project: &ProjectId,
    kind: ResourceKind,
) -> Result<bool, DbError> {
    let of_project = dsl::resources
        .filter(dsl::project_id.eq(project.as_str()).and(dsl::kind.eq(kind.as_str())))
        .filter(dsl::deleted_at.is_null());
    let count: i64 = of_project.count().get_result(conn)?;
    Ok(count >= MAX_PER_PROJECT)
}

/// Stores a new one. Fails as a duplicate if the project has another of this kind and name.
pub(crate) fn insert(conn: &mut Conn, fresh: Fresh) -> Result<Record, DbError> {
    let Fresh { kind, project, user, name, options } = fresh;
    let record = Record {
        id: ResourceId::random(),
        kind,
        project,
        user,
        name,
        host: None,
        options,
        created_at: now(conn)?,
    };
    let row = Row {
        uuid: record.id.to_string(),
        kind: kind.as_str().to_owned(),
        project_id: record.project.to_string(),
        user_id: record.user.to_string(),
        name: record.name.clone(),
        host: None,
        options: serde_json::to_string(&record.options)?,
        created_at: record.created_at,
        deleted_at: None,
    };
    diesel::insert_into(dsl::resources).values(row).execute(conn)?;
    write_event(conn, &record, EventAction::Create)?;
    Ok(record)
}

/// Records an event of a volume or a network.
fn write_event(conn: &mut Conn, record: &Record, action: EventAction) -> Result<(), DbError> {
    let about = About {
        kind: match record.kind {
            ResourceKind::Volume => EventType::Volume,
            ResourceKind::Network => EventType::Network,
        },
        project: record.project.as_str(),
        id: record.id.to_string(),
        name: &record.name,
        image: None,
        host: record.host.as_ref().map(HostName::as_str),
    };
    event::write(conn, &about, vec![NewEvent::of(action)])
}

/// Those of a scope, the oldest first.
pub(crate) fn all(
    conn: &mut Conn,
    scope: &Scope,
    kind: ResourceKind,
) -> Result<Vec<Record>, DbError> {
    read(scoped(scope, kind), conn)
}

/// The one with this ID, or else those with this name: which can be several only if the scope has several projects.
pub(crate) fn by_ident(
    conn: &mut Conn,
    (scope, kind): (&Scope, ResourceKind),
    ident: &str,
) -> Result<Vec<Record>, DbError> {
    // No row can hold it, and PostgreSQL refuses the comparison.
    if ident.contains('\0') {
        return Ok(Vec::new());
    }
    if let Ok(id) = ident.parse::<ResourceId>() {
        let found = read(scoped(scope, kind).filter(dsl::uuid.eq(id.to_string())), conn)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    read(scoped(scope, kind).filter(dsl::name.eq(ident.to_owned())).limit(2), conn)
}

/// The containers that use these, by resource.
pub(crate) fn users(
    conn: &mut Conn,
    ids: &[ResourceId],
) -> Result<BTreeMap<ResourceId, Vec<ContainerId>>, DbError> {
    let names = ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rows: Vec<(String, String)> = uses::resource_uses
        .filter(uses::resource.eq_any(names))
        .order(uses::id.asc())
        .select((uses::resource, uses::container))
        .load(conn)?;
    let mut users: BTreeMap<ResourceId, Vec<ContainerId>> = BTreeMap::new();
    for (resource, container) in rows {
        if let (Ok(resource), Ok(container)) = (resource.parse(), container.parse()) {
            users.entry(resource).or_default().push(container);
        }
    }
    Ok(users)
}

/// Lets a container on a host use resources, and pins them to the host. [`DbError::NoCapacity`] if one is pinned to
/// another host, or deleted, meanwhile.
pub(crate) fn take(
    conn: &mut Conn,
    (host, container): (&HostName, ContainerId),
    ids: &[ResourceId],
) -> Result<(), DbError> {
    let mut names = ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    // Two transactions lock rows in the same order.
    names.sort_unstable();
    names.dedup();
    for name in names {
        let row = dsl::resources.filter(dsl::uuid.eq(&name).and(dsl::deleted_at.is_null()));
        let here = dsl::host.is_null().or(dsl::host.eq(host.as_str()));
        let taken =
            diesel::update(row.filter(here)).set(dsl::host.eq(host.as_str())).execute(conn)?;
        if taken == 0 {
            return Err(DbError::NoCapacity);
        }
        diesel::insert_into(uses::resource_uses)
            .values((uses::resource.eq(&name), uses::container.eq(container.to_string())))
            .execute(conn)?;
    }
    Ok(())
}

/// A removed container no longer uses anything.
pub(crate) fn release(conn: &mut Conn, container: ContainerId) -> Result<(), DbError> {
    let of_container = uses::resource_uses.filter(uses::container.eq(container.to_string()));
    diesel::delete(of_container).execute(conn)?;
    Ok(())
}

/// The effect of a deletion.
#[derive(Debug)]
pub(crate) enum Deletion {
    /// It is deleted. Its host, if it has one, still has to remove it.
    Deleted(Option<HostName>),
    /// Containers use it.
    InUse(usize),
    /// It no longer exists.
    Missing,
}

/// Deletes a resource that no container uses. Its name is free at once.
pub(crate) fn write_tombstone(conn: &mut Conn, id: ResourceId) -> Result<Deletion, DbError> {
    let row = || dsl::resources.filter(dsl::uuid.eq(id.to_string()));
    let live = || row().filter(dsl::deleted_at.is_null());
    // The update locks the row, so the queries below see each container that uses the resource.
    let deleted = diesel::update(live()).set(dsl::deleted_at.eq(now(conn)?)).execute(conn)?;
    if deleted == 0 {
        return Ok(Deletion::Missing);
    }
    let users = uses::resource_uses.filter(uses::resource.eq(id.to_string()));
    let count: i64 = users.count().get_result(conn)?;
    if count > 0 {
        diesel::update(row()).set(dsl::deleted_at.eq(None::<NaiveDateTime>)).execute(conn)?;
        return Ok(Deletion::InUse(usize::try_from(count).unwrap_or(usize::MAX)));
    }
    let host: Option<String> = row().select(dsl::host).first(conn)?;
    let Some(host) = host else {
        forget(conn, id)?;
        return Ok(Deletion::Deleted(None));
    };
    let host = parse("host", &id.to_string(), &host)?;
    Ok(Deletion::Deleted(Some(host)))
}

/// Its host has removed it.
pub(crate) fn forget(conn: &mut Conn, id: ResourceId) -> Result<(), DbError> {
    let row = || dsl::resources.filter(dsl::uuid.eq(id.to_string()));
    let row_of_event: Option<Row> = row().select(Row::as_select()).first(conn).optional()?;
    if let Some(record) = row_of_event.map(Row::parse).transpose()? {
        write_event(conn, &record, EventAction::Destroy)?;
    }
    diesel::delete(row()).execute(conn)?;
    Ok(())
}
