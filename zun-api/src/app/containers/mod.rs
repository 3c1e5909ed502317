//! The operations on containers.

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
use std::time::Duration;

use zun_common::bus::CallError;
use zun_common::id::{ContainerId, HostName};
use zun_common::rpc::{Call, Code, Problem};
use zun_common::status::{Action, Status};

pub(crate) use attach::Attach;
pub(crate) use attachments::{MountRequest, NetworkRequest, SourceRequest};
pub(super) use console::ConsoleTarget;
pub(crate) use delete::Deletion;
pub(crate) use execute::{Exec, Execution};
pub(crate) use explain::Explanation;
pub(crate) use files::Commit;
pub(crate) use list::ListQuery;
pub(crate) use new_container::NewContainer;
pub(crate) use operate::BEGIN_LIMIT;
pub(crate) use rebuild::Rebuild;
pub(crate) use runs::WaitForRun;
pub(crate) use ticket::NewTicket;
pub(crate) use update::Update;
pub(crate) use wait::WaitFor;

use super::{App, AppError, Caller};
use crate::db::container::{self, Record, Scope};
use crate::db::{Conn, DbError, host};

/// A container's id, name, or the beginning of an id in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ident(pub(crate) String);

enum Lookup {
    Found(Box<Record>),
    Missing,
    AmbiguousName,
    /// Several ids begin with it.
    AmbiguousId(Vec<Record>),
}

/// A container and its host, which is up.
pub(super) struct Placed {
    pub(super) record: Record,
    pub(super) host: HostName,
}

impl App {
    /// Finds a container by id, name, or a unique beginning of its id or of the one that Docker gave it. Containers
    /// that the caller may not see are not found.
    pub(crate) async fn find(&self, caller: &Caller, ident: &Ident) -> Result<Record, AppError> {
        self.find_with(caller, ident, find_record).await
    }

    /// Like [`App::find`], for a removal: also finds a container whose row cannot be read.
    pub(super) async fn find_to_delete(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<Record, AppError> {
        self.find_with(caller, ident, find_also_unreadable).await
    }

    async fn find_with(
        &self,
        caller: &Caller,
        ident: &Ident,
        find: fn(&mut Conn, &Scope, &Scope, &Ident) -> Result<Lookup, DbError>,
    ) -> Result<Record, AppError> {
        let (own, visible, wanted) = (caller.own_scope(), caller.visible_scope(), ident.clone());
        match self.db.read(move |conn| find(conn, &own, &visible, &wanted)).await? {
            Lookup::Found(record) => {
                caller.concerns(record.id);
                Ok(*record)
            }
            Lookup::Missing => Err(AppError::ContainerNotFound(ident.0.chars().take(80).collect())),
            Lookup::AmbiguousName => Err(AppError::AmbiguousName(ident.0.clone())),
            Lookup::AmbiguousId(found) => Err(ambiguous_id(ident, &found)),
        }
    }

    /// Finds a container. Its status must allow the action, and its host must be up.
    pub(super) async fn require_ready(
        &self,
        caller: &Caller,
        ident: &Ident,
        action: Action,
    ) -> Result<Placed, AppError> {
        let record = self.find(caller, ident).await?;
        let id = record.id;
        if !record.status.allows(action) {
            return Err(AppError::WrongStatus { action, id, status: record.status });
        }
        self.on_its_host(record, action).await
    }

    /// Finds a container in any status. Its host must be up.
    pub(super) async fn require_placed(
        &self,
        caller: &Caller,
        ident: &Ident,
        action: Action,
    ) -> Result<Placed, AppError> {
        let record = self.find(caller, ident).await?;
        self.on_its_host(record, action).await
    }

    async fn on_its_host(&self, record: Record, action: Action) -> Result<Placed, AppError> {
        let id = record.id;
        let host = record.host.clone().ok_or(AppError::NotScheduled { action, id })?;
        self.require_up(&host).await?;
        Ok(Placed { record, host })
    }

    /// Calls the agent on a host: that of the host's epoch. Repeats the call if an agent refuses it because the epoch has
    /// changed, or because it is a second agent of the same name. A call that may only be done once is not repeated: the bus
    /// can deliver it to the next agent although the one before has done it.
    pub(in crate::app) async fn call_agent<C: Call>(
        &self,
        caller: &Caller,
        host: &HostName,
        call: &C,
    ) -> Result<C::Reply, AppError> {
        let mut attempts = 0;
        loop {
            let wanted = host.clone();
            let epoch = self.db.read(move |conn| host::epoch(conn, &wanted)).await?;
            let answer = match epoch {
                Some(epoch) => self.bus.call_in_epoch((host, epoch), call, &caller.context).await,
                None => self.bus.call(host, call, &caller.context).await,
            };
            attempts += 1;
            let Err(CallError::Refused { problem, method, route }) = answer else {
                return answer.map_err(|cause| AppError::Agent { host: host.clone(), cause });
            };
            let is_stale = problem.code == Code::StaleEpoch;
            if is_stale && !C::ONCE && attempts < EPOCH_ATTEMPTS {
                tokio::time::sleep(EPOCH_PAUSE).await;
                continue;
            }
            let words = "The agent of the host was replaced; the request may have been done.";
            let problem =
                if is_stale && C::ONCE { Problem::new(Code::Uncertain, words) } else { problem };
            let cause = CallError::Refused { method, route, problem };
            return Err(AppError::Agent { host: host.clone(), cause });
        }
    }
}

/// Maximum number of calls while a host's agent is replaced.
const EPOCH_ATTEMPTS: u32 = 5;
/// The pause between two of them.
const EPOCH_PAUSE: Duration = Duration::from_millis(100);

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

/// The most things that an error names.
const CANDIDATES: usize = 5;

/// The error of the beginning of several ids. Names them if there are not too many.
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
    let named = found.iter().map(|record| format!("{} ({})", record.id, record.spec.name));
    several_begin_so("containers", &ident.0, named)
}

/// Like [`find_record`]. A row that cannot be read is only found by its whole id, or by its name in the caller's project:
/// what else begins so, or has that name, is not known.
fn find_also_unreadable(
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

/// Looks up the id first, then the name, then the beginning of an id, and the caller's own containers before others.
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
