//! Renames containers and changes their limits. New limits are claimed first, then set on the host.

use zun_common::bus::CallError;
use zun_common::id::{ContainerId, HostName};
use zun_common::rpc::Done;
use zun_common::rpc::container::UpdateContainer;
use zun_common::status::Action;
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::Ident;
use crate::app::{App, AppError, Caller, hosts};
use crate::db::container::{self, Record};
use crate::db::{Conn, DbError, lock, transaction};
use crate::scheduler;
use crate::settings::SchedulerSettings;

/// The fields to change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) name: Option<String>,
    pub(crate) cpus: Option<Cpus>,
    pub(crate) memory: Option<Mebibytes>,
}

/// The result of the claim.
enum Claimed {
    Done(Box<Record>),
    Gone,
    NameTaken,
    InsufficientResources(String),
}

impl App {
    /// Changes a container. If its host refuses the change, nothing is changed.
    pub(crate) async fn update(
        &self,
        caller: &Caller,
        ident: &Ident,
        request: Update,
    ) -> Result<Record, AppError> {
        let before = self.find(caller, ident).await?;
        let Update { name, cpus, memory } = request;
        let old = before.spec.resources;
        let new =
            Resources { cpus: cpus.unwrap_or(old.cpus), memory: memory.unwrap_or(old.memory) };
        let host = if new == old { None } else { Some(self.limits_host(&before).await?) };
        let change =
            Change { id: before.id, name: name.clone(), resources: new, host: host.clone() };
        let settings = self.settings.scheduler;
        let claimed = self.db.promise(move |conn| try_claim(conn, &change, &settings)).await?;
        let record = match claimed {
            Claimed::Done(record) => *record,
            Claimed::Gone => return Err(AppError::ContainerNotFound(before.id.to_string())),
            Claimed::NameTaken => return Err(AppError::NameTaken(name.unwrap_or_default())),
            Claimed::InsufficientResources(why) => {
                return Err(AppError::InsufficientResources(why));
            }
        };
        let Some(host) = host else { return Ok(record) };
        let call = UpdateContainer { container: before.id, resources: new };
        match self.call_agent(caller, &host, &call).await {
            Ok(Done {}) => Ok(record),
            Err(refusal) => {
                if is_definite_refusal(&refusal) {
                    let (id, name) = (before.id, before.spec.name);
                    let undo = move |conn: &mut Conn| container::amend(conn, id, &name, old);
                    self.db.promise(move |conn| transaction(conn, undo)).await?;
                }
                Err(refusal)
            }
        }
    }

    async fn limits_host(&self, record: &Record) -> Result<HostName, AppError> {
        let (action, id) = (Action::Update, record.id);
        if !record.status.allows(action) {
            return Err(AppError::WrongStatus { action, id, status: record.status });
        }
        let host = record.host.clone().ok_or(AppError::NotScheduled { action, id })?;
        self.require_up(&host).await?;
        Ok(host)
    }
}

/// Whether the host certainly changed nothing. Without a reply, it may have.
const fn is_definite_refusal(error: &AppError) -> bool {
    matches!(error, AppError::Agent { cause: CallError::Refused { .. }, .. })
}

struct Change {
    id: ContainerId,
    name: Option<String>,
    resources: Resources,
    /// The host on which to set the limits, if they change.
    host: Option<HostName>,
}

/// Claims. Another container can take the name between its check and its use.
fn try_claim(
    conn: &mut Conn,
    change: &Change,
    settings: &SchedulerSettings,
) -> Result<Claimed, DbError> {
    match transaction(conn, |conn| claim(conn, change, settings)) {
        Err(error) if error.is_duplicate() => Ok(Claimed::NameTaken),
        claimed => claimed,
    }
}

fn claim(
    conn: &mut Conn,
    change: &Change,
    settings: &SchedulerSettings,
) -> Result<Claimed, DbError> {
    lock::container(conn, change.id)?;
    let Some(record) = container::by_id(conn, &container::Scope::All, change.id)? else {
        return Ok(Claimed::Gone);
    };
    let old = record.spec.resources;
    let name = change.name.clone().unwrap_or_else(|| record.spec.name.clone());
    if name != record.spec.name && container::name_taken(conn, &record.project, &name)? {
        return Ok(Claimed::NameTaken);
    }
    if let Some(host) = &change.host {
        lock::placing(conn)?;
        let views = hosts::views(conn)?.into_iter().filter(|view| view.name == *host);
        let views: Vec<_> = views.map(|view| view.without(old)).collect();
        if let Err(refusal) = scheduler::select_host(change.resources, &views, settings) {
            return Ok(Claimed::InsufficientResources(refusal.to_string()));
        }
    }
    Ok(match container::amend(conn, change.id, &name, change.resources)? {
        Some(record) => Claimed::Done(Box::new(record)),
        None => Claimed::Gone,
    })
}
