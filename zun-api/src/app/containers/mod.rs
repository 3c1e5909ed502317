//! The operations on containers.

mod access;
mod actions;
mod attach;
mod attachments;
mod console;
mod create;
mod data;
mod delete;
mod execute;
mod explain;
mod files;
mod heal;
mod lifecycle;
mod list;
mod name;
mod new_container;
mod once;
mod operate;
mod publish;
mod read;
mod rebuild;
mod rights;
mod runs;
mod ticket;
mod update;
mod wait;

use std::str::FromStr;

use zun_common::bus::CallError;
use zun_common::id::ContainerId;
use zun_common::rpc::Code;
use zun_common::status::{Action, Status};

pub(crate) use access::WaitingAccesses;
pub(crate) use attach::Attach;
pub(crate) use attachments::{MountRequest, NetworkRequest, SourceRequest};
pub(super) use console::ConsoleTarget;
pub(crate) use delete::Deletion;
pub(crate) use execute::{Exec, Execution};
pub(crate) use explain::Explanation;
pub(crate) use files::Commit;
pub(crate) use heal::{check as check_health, heal, is_to_be_healed};
pub(crate) use list::ListQuery;
pub(crate) use new_container::NewContainer;
pub(crate) use operate::BEGIN_LIMIT;
pub(crate) use rebuild::Rebuild;
pub(crate) use runs::WaitForRun;
pub(crate) use ticket::NewTicket;
pub(crate) use update::Update;
pub(crate) use wait::WaitFor;

use super::live_host::LiveHost;
use super::{App, AppError, Caller};
use crate::db::container::{self, Record, Scope};
use crate::db::{Conn, DbError, host};

/// A container's ID, name, or the beginning of an ID in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ident(pub(crate) String);

enum Lookup {
    Found(Box<Record>),
    Missing,
    AmbiguousName,
    /// Several IDs begin with it.
    AmbiguousId(Vec<Record>),
}

impl Lookup {
    /// The one container that was found.
    fn unique(self, caller: &Caller, ident: &Ident) -> Result<Record, AppError> {
        match self {
            Self::Found(record) => {
                caller.concerns(record.id);
                Ok(*record)
            }
            Self::Missing => Err(AppError::ContainerNotFound(ident.0.chars().take(80).collect())),
            Self::AmbiguousName => Err(AppError::AmbiguousName(ident.0.clone())),
            Self::AmbiguousId(found) => Err(ambiguous_id(ident, &found)),
        }
    }
}

/// A container and its host, which is up.
pub(super) struct Placed {
    pub(super) record: Record,
    pub(super) host: LiveHost,
}

impl App {
    /// Finds a container by ID, name, or a unique beginning of its ID or of the one that Docker gave it. Containers
    /// that the caller may not see are not found.
    pub(crate) async fn find(&self, caller: &Caller, ident: &Ident) -> Result<Record, AppError> {
        self.find_with(caller, ident, find_record).await
    }

    /// Like [`App::find`], for what sends nothing of the row to a host and writes nothing of it back: also finds a container
    /// whose row cannot be read, as one in Error, as lists show it.
    pub(crate) async fn find_also_unreadable(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<Record, AppError> {
        self.find_with(caller, ident, find_or_stand_in).await
    }

    async fn find_with(
        &self,
        caller: &Caller,
        ident: &Ident,
        find: fn(&mut Conn, &Scope, &Scope, &Ident) -> Result<Lookup, DbError>,
    ) -> Result<Record, AppError> {
        let (own, visible, wanted) = (caller.own_scope(), caller.visible_scope(), ident.clone());
        let found = self.db.read(move |conn| find(conn, &own, &visible, &wanted)).await?;
        found.unique(caller, ident)
    }

    /// Finds a container. Its status must allow the action, and its host must be up.
    pub(super) async fn require_ready(
        &self,
        caller: &Caller,
        ident: &Ident,
        action: Action,
    ) -> Result<Placed, AppError> {
        self.place((caller, ident), action, |record| {
            let (id, status) = (record.id, record.status);
            if status.allows(action) {
                Ok(())
            } else {
                Err(AppError::WrongStatus { action, id, status })
            }
        })
        .await
    }

    /// Finds a container in any status. Its host must be up.
    pub(super) async fn require_placed(
        &self,
        caller: &Caller,
        ident: &Ident,
        action: Action,
    ) -> Result<Placed, AppError> {
        self.place((caller, ident), action, |_| Ok(())).await
    }

    /// Finds a container and its host in one visit to the database.
    async fn place(
        &self,
        (caller, ident): (&Caller, &Ident),
        action: Action,
        check: impl FnOnce(&Record) -> Result<(), AppError>,
    ) -> Result<Placed, AppError> {
        let (own, visible, wanted) = (caller.own_scope(), caller.visible_scope(), ident.clone());
        let read = move |conn: &mut Conn| {
            let found = find_record(conn, &own, &visible, &wanted)?;
            let host = match &found {
                Lookup::Found(record) => record.host.as_ref(),
                Lookup::Missing | Lookup::AmbiguousName | Lookup::AmbiguousId(_) => None,
            };
            let host = host.map(|host| host::by_name_now(conn, host)).transpose()?.flatten();
            Ok((found, host))
        };
        let (found, known) = self.db.read(read).await?;
        let record = found.unique(caller, ident)?;
        check(&record)?;
        let id = record.id;
        let name = record.host.as_ref().ok_or(AppError::NotScheduled { action, id })?;
        let host = LiveHost::of(name, known)?;
        Ok(Placed { record, host })
    }
}

/// Replaces an agent's "no such container" about a container that is being rebuilt, which the host has under another name
/// for a moment.
fn if_rebuilding(error: AppError, record: &Record, action: Action) -> AppError {
    let is_missing = matches!(
        &error,
        AppError::Agent { cause: CallError::Refused { problem, .. }, .. } if problem.code == Code::NotFound
    );
    if is_missing && record.status == Status::Rebuilding {
        return AppError::WrongStatus { action, id: record.id, status: record.status };
    }
    error
}

/// The most IDs that an error names.
const CANDIDATES: usize = 5;

/// The error if several IDs begin with the text. Names them if there are not too many.
pub(in crate::app) fn several_begin_so(
    what: &'static str,
    beginning: &str,
    mut named: impl Iterator<Item = String>,
) -> AppError {
    let first: Vec<String> = named.by_ref().take(CANDIDATES).collect();
    let others = if named.next().is_some() { " and others" } else { "" };
    let candidates = format!("{}{others}", first.join(", "));
    AppError::AmbiguousId { what, beginning: beginning.to_owned(), candidates }
}

fn ambiguous_id(ident: &Ident, found: &[Record]) -> AppError {
    let is_own = |record: &Record| record.id.to_string().starts_with(&ident.0);
    if found.iter().any(is_own) {
        let named = found.iter().map(|record| format!("{} ({})", record.id, record.spec.name));
        return several_begin_so("containers", &ident.0, named);
    }
    let named = found.iter().map(|record| {
        let engine = record.engine.as_ref().map_or("", |id| id.as_str());
        let engine: String = engine.chars().take(12).collect();
        format!("{} ({}, in Docker {engine})", record.id, record.spec.name)
    });
    several_begin_so("containers of Docker", &ident.0, named)
}

/// Like [`find_record`]. A row that cannot be read is only found by its whole ID, or by its name in the caller's
/// project, because other matches are not known.
fn find_or_stand_in(
    conn: &mut Conn,
    own: &Scope,
    visible: &Scope,
    ident: &Ident,
) -> Result<Lookup, DbError> {
    let found = find_record(conn, own, visible, ident);
    let Err(cause @ DbError::Unreadable { .. }) = found else { return found };
    let stand_in = container::stand_in_for(conn, &cause)?;
    let is_meant = |record: &Record| {
        let is_own = matches!(own, Scope::Project(project) if *project == record.project);
        record.id.to_string() == ident.0 || is_own && record.spec.name == ident.0
    };
    match stand_in.filter(is_meant) {
        Some(record) => Ok(Lookup::Found(Box::new(record))),
        None => Err(cause),
    }
}

/// Looks up the ID first, then the name, then the beginning of an ID, and the caller's own containers before others.
fn find_record(
    conn: &mut Conn,
    own: &Scope,
    visible: &Scope,
    ident: &Ident,
) -> Result<Lookup, DbError> {
    if let Ok(id) = ContainerId::from_str(&ident.0)
        && let Some(record) = container::by_id(conn, visible, id)?
    {
        return Ok(Lookup::Found(Box::new(record)));
    }
    for scope in [own, visible] {
        let mut found = container::by_name(conn, scope, &ident.0)?;
        if found.len() > 1 {
            return Ok(Lookup::AmbiguousName);
        }
        if let Some(record) = found.pop() {
            return Ok(Lookup::Found(Box::new(record)));
        }
    }
    for scope in [own, visible] {
        let mut found = container::by_id_beginning(conn, scope, &ident.0, CANDIDATES + 1)?;
        if found.len() > 1 {
            return Ok(Lookup::AmbiguousId(found));
        }
        if let Some(record) = found.pop() {
            return Ok(Lookup::Found(Box::new(record)));
        }
    }
    Ok(Lookup::Missing)
}
