//! Gives the login to a registry to the agent that pulls with it.

use std::sync::Arc;

use zun_common::bus::Incoming;
use zun_common::chain;
use zun_common::rpc::registry::{FoundLogin, GetRegistryLogin, RegistryLogin};
use zun_common::rpc::{Code, Problem};

use super::{Stored, own, stale_epoch, stored};
use crate::app::{App, registries};
use crate::db::registry::Record;
use crate::db::{Conn, DbError, host, operation, registry};

enum Found {
    Login(Box<Record>),
    StaleEpoch,
    /// The operation is not open on the host in this epoch, or needs no login.
    NotNeeded,
    Deleted,
}

/// Answers only about an open operation of the sender that pulls from a registry of the project.
pub(super) async fn login(
    app: Arc<App>,
    call: GetRegistryLogin,
    incoming: Incoming,
) -> Result<FoundLogin, Problem> {
    own(&call.host, &incoming)?;
    let (host, operation) = (call.host.clone(), call.operation);
    match stored(&app, Stored::Nothing, move |conn| find(conn, &call)).await? {
        Found::StaleEpoch => Err(stale_epoch(&host)),
        Found::NotNeeded => {
            tracing::warn!(
                host.name = %host, operation.id = %operation,
                "did not send a registry login to host {host}: the operation does not need one"
            );
            let words = "the operation is not open on this host, or needs no login to a registry";
            Err(Problem::new(Code::Forbidden, words))
        }
        Found::Deleted => {
            let words = "the login to the image's registry was deleted: log in again, and create the container again";
            Err(Problem::new(Code::NotFound, words))
        }
        Found::Login(record) => {
            tracing::info!(
                target: "audit",
                { host.name = %host, operation.id = %operation, registry.id = %record.id },
                "sent the login for registry {} to host {host}", record.domain
            );
            answer(&app, &record)
        }
    }
}

fn find(conn: &mut Conn, call: &GetRegistryLogin) -> Result<Found, DbError> {
    let GetRegistryLogin { host, epoch, operation } = call;
    if host::check_epoch(conn, host, *epoch)?.is_none() {
        return Ok(Found::StaleEpoch);
    }
    let Some((project, id)) = operation::registry_of_open(conn, (host, *epoch), *operation)? else {
        return Ok(Found::NotNeeded);
    };
    let record = registry::by_id(conn, &project, id)?;
    Ok(record.map_or(Found::Deleted, |record| Found::Login(Box::new(record))))
}

fn answer(app: &App, record: &Record) -> Result<FoundLogin, Problem> {
    let password = registries::password(app.secrets.as_ref(), record).map_err(|error| {
        tracing::error!(
            registry.id = %record.id, error = %chain(&error),
            "cannot decrypt the password of a registry"
        );
        let words =
            format!("zun-api cannot decrypt the password of the registry {}", record.domain);
        Problem::new(Code::Internal, words)
    })?;
    let login = record.username.clone().zip(password).map(|(username, password)| RegistryLogin {
        domain: record.domain.clone(),
        username,
        password,
    });
    Ok(FoundLogin { login })
}
