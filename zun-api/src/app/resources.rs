//! Volumes and networks of hosts. One gets its host with the first container that uses it: see
//! `containers/attachments.rs`.

use std::sync::Arc;

use zun_common::id::{ContainerId, ProjectId, ResourceId};
use zun_common::resource::{NetworkOptions, ResourceKind};
use zun_common::rpc::operation::Change;

use super::containers::several_begin_so;
use super::{App, AppError, Caller, InvalidField};
use crate::db::container::Scope;
use crate::db::operation::{self, Accepted, NewOperation, Subject};
use crate::db::resource::{self, Deletion, Fresh, Record};
use crate::db::{Conn, DbError, host, quota, transaction};

/// A volume or a network to create, with validated values.
#[derive(Debug, Clone)]
pub(crate) struct NewResource {
    pub(crate) name: String,
    pub(crate) options: NetworkOptions,
}

/// Which ones to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ResourceFilter {
    pub(crate) all_projects: bool,
    pub(crate) name: Option<String>,
}

/// A volume or a network, and the containers that use it.
#[derive(Debug, Clone)]
pub(crate) struct Used {
    pub(crate) record: Record,
    pub(crate) containers: Vec<ContainerId>,
}

/// Refuses addresses that no host can give to another network: on each, a network has some of them, or a network of the
/// project that has no host yet needs that host.
fn check_subnet(
    conn: &mut Conn,
    project: &ProjectId,
    subnet: &str,
) -> Result<Result<(), InvalidField>, DbError> {
    let hosts = host::all(conn)?.len();
    let taken = resource::hosts_with_subnet(conn, subnet)?.len();
    let waiting = resource::unplaced_with_subnet(conn, project, subnet)?;
    if hosts == 0 || hosts.saturating_sub(taken) > waiting.len() {
        return Ok(Ok(()));
    }
    let names: Vec<String> = waiting.iter().map(|one| format!("`{}`", one.name)).collect();
    let waiting =
        if names.is_empty() { String::new() } else { format!(", or are for {}", names.join(", ")) };
    let rule = format!(
        "addresses that are free on a host: on all {hosts} hosts they overlap with those of another network{waiting}"
    );
    Ok(Err(InvalidField::new("subnet", subnet, rule)))
}

impl App {
    /// Lists those of the caller's project, or of all projects for an administrator who requests it.
    pub(crate) async fn resources(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        filter: ResourceFilter,
    ) -> Result<Vec<Used>, AppError> {
        let scope = if filter.all_projects { caller.visible_scope() } else { caller.own_scope() };
        let read = move |conn: &mut Conn| {
            let mut all = resource::all(conn, &scope, kind)?;
            all.retain(|one| filter.name.as_ref().is_none_or(|name| one.name == *name));
            with_users(conn, all)
        };
        Ok(self.db.read(read).await?)
    }

    /// Finds one by ID, name, or a unique beginning of its ID, the caller's own before others.
    pub(crate) async fn resource(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        ident: &str,
    ) -> Result<Used, AppError> {
        let (scopes, wanted) = ([caller.own_scope(), caller.visible_scope()], ident.to_owned());
        let read = move |conn: &mut Conn| {
            let found = find(conn, &scopes, (kind, &wanted))?;
            with_users(conn, found)
        };
        let mut found = self.db.read(read).await?.into_iter();
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (Some(first), Some(_)) if first.record.name == ident => {
                Err(AppError::AmbiguousResource { kind, name: ident.to_owned() })
            }
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(found);
                let named = all.map(|one| format!("{} ({})", one.record.id, one.record.name));
                Err(several_begin_so(plural(kind), ident, named))
            }
            (None, _) => Err(missing(kind, ident)),
        }
    }

    /// Creates one in the caller's project.
    pub(crate) async fn create_resource(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        wanted: NewResource,
    ) -> Result<Used, AppError> {
        let NewResource { name, options } = wanted;
        let fresh = Fresh {
            kind,
            project: caller.identity.project.clone(),
            user: caller.identity.user.clone(),
            name: name.clone(),
            options,
        };
        let store = move |conn: &mut Conn| {
            // Other creations of the project wait, so that together they do not exceed the limit.
            quota::lock(conn, &fresh.project)?;
            if resource::is_full(conn, &fresh.project, kind)? {
                return Ok(Err(full(kind)));
            }
            if let Some(subnet) = &fresh.options.subnet
                && let Err(invalid) = check_subnet(conn, &fresh.project, subnet)?
            {
                return Ok(Err(invalid.into()));
            }
            resource::insert(conn, fresh).map(Ok)
        };
        let stored = self.db.write_durable(move |conn| transaction(conn, store));
        let stored = stored.await.map_err(|error| {
            if error.is_duplicate() {
                AppError::ResourceNameTaken { kind, name }
            } else {
                error.into()
            }
        })?;
        let record = stored?;
        self.hub.note_event(record.id.subject());
        Ok(Used { record, containers: Vec::new() })
    }

    /// Deletes one that no container uses. Its host removes it after the answer.
    pub(crate) async fn delete_resource(
        self: &Arc<Self>,
        caller: &Caller,
        kind: ResourceKind,
        ident: &str,
    ) -> Result<(), AppError> {
        let Used { record, containers: _ } = self.resource(caller, kind, ident).await?;
        let subject = record.id.subject();
        let asking = caller.clone();
        let work =
            move |conn: &mut Conn| transaction(conn, |conn| accept_removal(conn, &asking, &record));
        match self.db.write_durable(work).await? {
            Removal::Accepted(accepted) => {
                self.nudge_later(caller.context.clone(), *accepted);
                Ok(())
            }
            Removal::Done => {
                self.hub.note_event(subject);
                Ok(())
            }
            Removal::InUse(count) => {
                Err(AppError::ResourceInUse { kind, name: ident.to_owned(), count })
            }
            Removal::Missing => Err(missing(kind, ident)),
        }
    }
}

enum Removal {
    Accepted(Box<Accepted>),
    /// No host has it.
    Done,
    InUse(usize),
    Missing,
}

fn accept_removal(conn: &mut Conn, caller: &Caller, record: &Record) -> Result<Removal, DbError> {
    let host = match resource::write_tombstone(conn, record.id)? {
        Deletion::Deleted(Some(host)) => host,
        Deletion::Deleted(None) => return Ok(Removal::Done),
        Deletion::InUse(count) => return Ok(Removal::InUse(count)),
        Deletion::Missing => return Ok(Removal::Missing),
    };
    let new = NewOperation {
        subject: Subject { id: record.id.subject(), project: &record.project },
        user: &caller.identity.user,
        request: &caller.context.request,
        key: None,
        change: Change::RemoveResource { resource: record.kind, id: record.id },
        limit: None,
    };
    let accepted = operation::accept(conn, &host, new)?;
    Ok(Removal::Accepted(Box::new(accepted)))
}

/// The error of a project that has as many as it can have.
pub(super) const fn full(kind: ResourceKind) -> AppError {
    AppError::TooMany { what: plural(kind), limit: resource::MAX_PER_PROJECT }
}

const fn plural(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Volume => "volumes",
        ResourceKind::Network => "networks",
    }
}

/// The error of one that the caller does not see.
pub(super) fn missing(kind: ResourceKind, ident: &str) -> AppError {
    AppError::ResourceNotFound { kind, ident: ident.chars().take(80).collect() }
}

/// The shortest beginning of an ID by which a volume or a network is found.
const SHORTEST_BEGINNING: usize = 4;

fn find(
    conn: &mut Conn,
    scopes: &[Scope; 2],
    (kind, ident): (ResourceKind, &str),
) -> Result<Vec<Record>, DbError> {
    for scope in scopes {
        let found = resource::by_ident(conn, (scope, kind), ident)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    // A shorter text may be a mistyped name, such as `db`, and the match could be deleted with its data.
    if ident.len() < SHORTEST_BEGINNING {
        return Ok(Vec::new());
    }
    for scope in scopes {
        let mut found = resource::all(conn, scope, kind)?;
        found.retain(|one| one.id.to_string().starts_with(ident));
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

fn with_users(conn: &mut Conn, records: Vec<Record>) -> Result<Vec<Used>, DbError> {
    let ids: Vec<ResourceId> = records.iter().map(|record| record.id).collect();
    let mut users = resource::users(conn, &ids)?;
    let used = |record: Record| {
        let containers = users.remove(&record.id).unwrap_or_default();
        Used { record, containers }
    };
    Ok(records.into_iter().map(used).collect())
}
