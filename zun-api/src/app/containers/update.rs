//! Renames containers and changes their limits. New limits are claimed first, then set on the host.

use serde::Serialize;
use zun_common::id::{ContainerId, HostName};
use zun_common::resource::NetworkMode;
use zun_common::rpc::operation::{Change, Outcome, Rename};
use zun_common::status::Action;
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::Ident;
use super::once::{Asked, Once};
use super::operate::BEGIN_LIMIT;
use crate::app::{App, AppError, Caller, hosts};
use crate::db::container::{self, Record};
use crate::db::host::{ClaimSettings, Growth};
use crate::db::operation::{
    self, Accepted, Ended, First, Kind, NewOperation, OutcomeKind, RequestKey,
};
use crate::db::{Conn, DbError, lock, transaction_with_retry};
use crate::scheduler;

/// Maximum number of transactions to try.
const MAX_ATTEMPTS: usize = 16;

/// The fields to change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Update {
    pub(crate) name: Option<String>,
    pub(crate) cpus: Option<Cpus>,
    pub(crate) memory: Option<Mebibytes>,
}

/// The result of the claim.
enum Claimed {
    Done(Box<(Record, Option<Accepted>)>),
    /// Another request has changed the limits since they were read. Nothing was changed.
    Outdated,
    Gone,
    NameTaken,
    CannotRename(String),
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
        let asked = Asked { kind: Kind::Update, container: &ident.0, arguments: &request };
        let key = caller.request_key(&asked)?;
        let attempt = self.attempt_update(caller, ident, (request, key.clone()));
        match Box::pin(self.once(key, attempt)).await? {
            Once::Done(record) => Ok(record),
            Once::Repeated(first) => {
                self.answer_again(&caller.context, First::clone(&first)).await?;
                self.container_again(caller, &first).await
            }
        }
    }

    async fn attempt_update(
        &self,
        caller: &Caller,
        ident: &Ident,
        (request, key): (Update, Option<RequestKey>),
    ) -> Result<Record, AppError> {
        let name = request.name.clone();
        let (id, claimed) = self.claim_limits(caller, ident, (request, key)).await?;
        let (record, accepted) = match claimed {
            Claimed::Done(done) => *done,
            Claimed::Outdated => return Err(AppError::Db(DbError::NoCapacity)),
            Claimed::Gone => return Err(AppError::ContainerNotFound(id.to_string())),
            Claimed::NameTaken => return Err(AppError::NameTaken(name.unwrap_or_default())),
            Claimed::CannotRename(name) => {
                return Err(AppError::CannotRename { id, name });
            }
            Claimed::InsufficientResources(why) => {
                return Err(AppError::InsufficientResources(why));
            }
        };
        self.hub.publish(&record);
        if accepted.is_none() {
            let ended = Ended::at_once(Kind::Update, OutcomeKind::Succeeded);
            self.metrics.count_operations([ended]);
        }
        if let Some(accepted) = accepted {
            self.nudge(&caller.context, accepted).await?;
        }
        Ok(record)
    }

    /// Reads the container, and claims the new limits. Repeats this if another request has changed the limits
    /// meanwhile: the host must then set them, even if they were unchanged before.
    async fn claim_limits(
        &self,
        caller: &Caller,
        ident: &Ident,
        (request, key): (Update, Option<RequestKey>),
    ) -> Result<(ContainerId, Claimed), AppError> {
        let mut attempts = 0;
        loop {
            let before = self.find(caller, ident).await?;
            let Update { name, cpus, memory } = request.clone();
            let change = Wanted { id: before.id, name, cpus, memory, host: None, key: key.clone() };
            let old = before.spec.resources;
            let host = if change.limits(old) == old {
                None
            } else {
                Some(self.limits_host(&before).await?)
            };
            let change = Wanted { host, ..change };
            let (settings, asking) = (self.claim_settings(), caller.clone());
            let claim = move |conn: &mut Conn| try_claim(conn, &asking, (&change, &settings));
            let claimed = self.db.write_durable(claim).await?;
            attempts += 1;
            if !matches!(claimed, Claimed::Outdated) || attempts == MAX_ATTEMPTS {
                return Ok((before.id, claimed));
            }
        }
    }

    async fn limits_host(&self, record: &Record) -> Result<HostName, AppError> {
        let (action, id) = (Action::Update, record.id);
        if !record.status.allows(action) {
            return Err(AppError::WrongStatus { action, id, status: record.status });
        }
        let host = record.host.clone().ok_or(AppError::NotScheduled { action, id })?;
        self.live_host(&host).await?;
        Ok(host)
    }
}

struct Wanted {
    id: ContainerId,
    name: Option<String>,
    cpus: Option<Cpus>,
    memory: Option<Mebibytes>,
    /// The host on which to set the limits, if they change.
    host: Option<HostName>,
    key: Option<RequestKey>,
}

impl Wanted {
    /// The new limits, computed from the former ones. Only the given fields change, so that concurrent changes of other
    /// fields are kept.
    fn limits(&self, old: Resources) -> Resources {
        Resources { cpus: self.cpus.unwrap_or(old.cpus), memory: self.memory.unwrap_or(old.memory) }
    }
}

/// Claims. Between their check and their use, another transaction can take the name, or the host's capacity. The next
/// try finds the capacity taken.
fn try_claim(
    conn: &mut Conn,
    caller: &Caller,
    change: (&Wanted, &ClaimSettings),
) -> Result<Claimed, DbError> {
    let mut attempt = || match transaction_with_retry(conn, |conn| claim(conn, caller, change)) {
        Err(error) if error.is_duplicate() => Ok(Claimed::NameTaken),
        claimed => claimed,
    };
    for _ in 1..MAX_ATTEMPTS {
        match attempt() {
            Err(DbError::NoCapacity) => {}
            done => return done,
        }
    }
    attempt()
}

fn claim(
    conn: &mut Conn,
    caller: &Caller,
    (wanted, settings): (&Wanted, &ClaimSettings),
) -> Result<Claimed, DbError> {
    lock::container(conn, wanted.id)?;
    let Some(record) = container::by_id(conn, &container::Scope::All, wanted.id)? else {
        return Ok(Claimed::Gone);
    };
    let old = record.spec.resources;
    let new = wanted.limits(old);
    if new != old && wanted.host.is_none() {
        return Ok(Claimed::Outdated);
    }
    let name = wanted.name.clone().unwrap_or_else(|| record.spec.name.clone());
    if name != record.spec.name && container::name_taken(conn, &record.project, &name)? {
        return Ok(Claimed::NameTaken);
    }
    // The engine sets the names in a network when it creates the container.
    if name != record.spec.name && matches!(record.spec.network, Some(NetworkMode::Named(_))) {
        return Ok(Claimed::CannotRename(record.spec.name));
    }
    if let Some(host) = &wanted.host {
        let view = hosts::views(conn)?.into_iter().find(|view| view.name == *host);
        if let Err(refusal) =
            scheduler::check_change(view.as_ref(), (old, new), &settings.scheduler)
        {
            return Ok(Claimed::InsufficientResources(refusal.to_string()));
        }
    }
    let rename = (name != record.spec.name)
        .then(|| Rename { from: record.spec.name.clone(), to: name.clone() });
    let Some(updated) = container::amend(conn, wanted.id, (&name, new), Growth::Checked(settings))?
    else {
        return Ok(Claimed::Gone);
    };
    let new = NewOperation {
        subject: (&updated).into(),
        user: &caller.identity.user,
        request: &caller.context.request,
        key: wanted.key.as_ref(),
        change: Change::Update { resources: new, before: old, rename },
        limit: Some(BEGIN_LIMIT),
    };
    let accepted = if let Some(host) = &wanted.host {
        Some(operation::accept(conn, host, new)?)
    } else {
        // A new name concerns no host.
        operation::record(conn, &new, &Outcome::Succeeded)?;
        None
    };
    Ok(Claimed::Done(Box::new((updated, accepted))))
}
