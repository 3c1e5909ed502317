//! Rebuilds containers: the host replaces the container in its engine with a new one of the same specification, with
//! another image. The row has that image once the host has done it.

use std::time::Duration;

use serde::Serialize;
use tokio::time::timeout;
use zun_common::id::{ContainerId, HostName};
use zun_common::rpc::operation::{Change, PUBLISH_ALL_PROTOCOL, REBUILD_PROTOCOL};
use zun_common::status::{Action, Status};

use super::once::{Asked, Once};
use super::operate::BEGIN_LIMIT;
use super::{Ident, Placed};
use crate::app::registries::WantedImage;
use crate::app::{App, AppError, Caller, hosts, registries};
use crate::db::container::{self, Record, Scope};
use crate::db::operation::{self, Accepted, Kind, NewOperation, RequestKey};
use crate::db::{Conn, DbError, host, lock, transaction};
use crate::wait::{Event, Subscription};

/// How long the answer waits until the container is shown as `Rebuilding`.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);

/// A request for a rebuild.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Rebuild {
    /// The image; the container's own if `None`.
    pub(crate) image: Option<String>,
}

impl App {
    /// Rebuilds a container. Returns when its host has begun, and the container is `Rebuilding`: clients wait for the
    /// next status.
    pub(crate) async fn rebuild(
        &self,
        caller: &Caller,
        ident: &Ident,
        request: Rebuild,
    ) -> Result<(), AppError> {
        let asked = Asked { kind: Kind::Rebuild, container: &ident.0, arguments: &request };
        let key = caller.request_key(&asked)?;
        let attempt = self.attempt_rebuild(caller, ident, (request.image, key.clone()));
        match self.once(key, attempt).await? {
            Once::Done(()) => Ok(()),
            Once::Repeated(first) => self.answer_again(&caller.context, *first).await,
        }
    }

    async fn attempt_rebuild(
        &self,
        caller: &Caller,
        ident: &Ident,
        (image, key): (Option<String>, Option<RequestKey>),
    ) -> Result<(), AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Rebuild).await?;
        let (id, asking) = (record.id, caller.clone());
        let work = move |conn: &mut Conn| {
            transaction(conn, |conn| accept(conn, (&asking, key.as_ref()), (id, &host.name, image)))
        };
        let accepted = self.db.write_durable(work).await??;
        tracing::debug!(
            container.id = %id, host.name = %accepted.host, request.id = %caller.context.request,
            "accepted the rebuild of container {id}"
        );
        let shown = self.hub.permit().ok().map(|permit| self.hub.subscribe(permit, id));
        self.nudge(&caller.context, accepted).await?;
        if let Some(shown) = shown {
            drop(timeout(SHOWN_WITHIN, until_rebuilding(shown)).await);
        }
        Ok(())
    }
}

fn accept(
    conn: &mut Conn,
    (caller, key): (&Caller, Option<&RequestKey>),
    (id, host, image): (ContainerId, &HostName, Option<String>),
) -> Result<Result<Accepted, AppError>, DbError> {
    lock::container(conn, id)?;
    let Some(record) = container::by_id(conn, &Scope::All, id)? else {
        return Ok(Err(AppError::ContainerNotFound(id.to_string())));
    };
    if let Err(why) = check(conn, &record, host)? {
        return Ok(Err(why));
    }
    let was_running = matches!(record.status, Status::Running | Status::Restarting);
    let mut spec = record.spec.clone();
    if let Some(mut image) = image {
        let wanted = WantedImage { field: "image", text: &mut image, login: None };
        spec.registry =
            match registries::choose_for_container(conn, (caller, &record.project), wanted)? {
                Ok(registry) => registry,
                Err(why) => return Ok(Err(why)),
            };
        spec.image = image;
    }
    let spec = Box::new(spec.for_host(record.project.clone()));
    let new = NewOperation {
        subject: (&record).into(),
        user: &caller.identity.user,
        request: &caller.context.request,
        key,
        change: Change::Rebuild { spec, was_running },
        limit: Some(BEGIN_LIMIT),
    };
    operation::accept(conn, host, new).map(Ok)
}

/// Checks what only the database knows.
fn check(
    conn: &mut Conn,
    record: &Record,
    host: &HostName,
) -> Result<Result<(), AppError>, DbError> {
    let (action, id) = (Action::Rebuild, record.id);
    if !record.status.allows(action) {
        return Ok(Err(AppError::WrongStatus { action, id, status: record.status }));
    }
    if record.spec.auto_remove {
        let why =
            "it is removed when its process ends, so it would be removed before it is rebuilt";
        return Ok(Err(AppError::CannotRebuild { id, why }));
    }
    if operation::lock_open(conn, id)? {
        let why =
            "another operation on it is open; try again when `zun action list` shows its outcome";
        return Ok(Err(AppError::CannotRebuild { id, why }));
    }
    // An older agent would leave the options out.
    let protocol =
        if record.spec.options.asks_for_ports() { PUBLISH_ALL_PROTOCOL } else { REBUILD_PROTOCOL };
    Ok(match host::by_name(conn, host)? {
        Some(host) => hosts::require_protocol(&host, protocol),
        None => Err(AppError::HostNotFound(host.to_string())),
    })
}

async fn until_rebuilding(mut container: Subscription) {
    loop {
        match container.next().await {
            Event::Changed(record) if record.status == Status::Rebuilding => return,
            Event::Changed(_) | Event::Lagged => {}
            Event::Deleted | Event::Closing => return,
        }
    }
}
