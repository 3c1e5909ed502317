//! Queries of agents.

use std::sync::Arc;

use chrono::Utc;
use uuid::Uuid;
use zun_common::bus::Incoming;
use zun_common::chain;
use zun_common::grant::Grant;
use zun_common::rpc::host::{
    Assigned, AssignedContainer, AssignedContainers, CaBundle, GetCaBundle, HostCertificate,
    ProbeGrant, SignHostCertificate, SignProbe,
};
use zun_common::rpc::{Code, Problem};

use super::{Stored, is_stale, own, stale_epoch, stored};
use crate::app::App;
use crate::ca::{CaError, CertificateAuthority};
use crate::db::Conn;
use crate::db::container;
use crate::db::operation;

/// Signs a host's server certificate.
pub(super) async fn sign(
    app: Arc<App>,
    call: SignHostCertificate,
    incoming: Incoming,
) -> Result<HostCertificate, Problem> {
    own(&call.host, &incoming)?;
    let ca = require_ca(&app)?;
    let certificate = ca
        .enrolled(&call.host)
        .and_then(|host| ca.host_certificate(&host, &call.csr, Utc::now()))
        .map_err(|error| refusal(&error))?;
    tracing::info!(
        target: "audit",
        { host.name = %call.host, request.id = %incoming.context.request },
        "signed a server certificate for host {}", call.host
    );
    Ok(HostCertificate { certificate, ca: ca.certificate_pem().to_owned() })
}

/// Signs the client certificate with which a host checks its own listener.
pub(super) async fn prove(
    app: Arc<App>,
    call: SignProbe,
    incoming: Incoming,
) -> Result<ProbeGrant, Problem> {
    own(&call.host, &incoming)?;
    let (id, signed_at) = (format!("proof-{}", Uuid::new_v4()), Utc::now());
    let grant = Grant::probe(call.host.clone());
    let ca = require_ca(&app)?;
    let issued = ca
        .enrolled(&call.host)
        .and_then(|_enrolled| ca.grant(&call.csr, &grant, &id, signed_at))
        .map_err(|error| refusal(&error))?;
    tracing::info!(
        target: "audit",
        { grant.id = %id, grant.uri = %grant, host.name = %call.host, request.id = %incoming.context.request },
        "granted {id} to host {} for checking its listener: {grant}", call.host
    );
    Ok(ProbeGrant { certificate: issued.certificate, signed_at })
}

/// Sends a host the CAs to trust.
pub(super) async fn authorities(
    app: Arc<App>,
    call: GetCaBundle,
    incoming: Incoming,
) -> Result<CaBundle, Problem> {
    own(&call.host, &incoming)?;
    Ok(CaBundle { ca: require_ca(&app)?.certificate_pem().to_owned() })
}

fn require_ca(app: &App) -> Result<&CertificateAuthority, Problem> {
    let words = "zun-api has no CA: set console.ca_directory in its settings";
    app.ca.as_ref().ok_or_else(|| Problem::new(Code::NoConsole, words))
}

fn refusal(error: &CaError) -> Problem {
    if let CaError::Request(_) = error {
        return Problem::new(Code::BadRequest, chain(error));
    }
    if let CaError::NotEnrolled(_) | CaError::NameNotEnrolled { .. } = error {
        tracing::warn!(error = %chain(error), "refused to sign a certificate for a host");
        return Problem::new(Code::Forbidden, chain(error));
    }
    tracing::error!(error = %chain(error), "cannot sign a certificate for a host");
    Problem::new(Code::Internal, "zun-api cannot sign the certificate; its log has the cause")
}

/// Sends a host the list of the containers that should be on it.
pub(super) async fn assigned(
    app: Arc<App>,
    call: AssignedContainers,
    incoming: Incoming,
) -> Result<Assigned, Problem> {
    own(&call.host, &incoming)?;
    let host = call.host.clone();
    let read = move |conn: &mut Conn| {
        if is_stale(conn, &call.host, call.epoch)? {
            return Ok(None);
        }
        let assigned = container::assigned(conn, &call.host)?;
        let ids: Vec<_> = assigned.iter().map(|one| one.id).collect();
        let runs = container::last_runs(conn, &ids)?;
        Ok(Some((assigned, runs, operation::rebuilding(conn, &call.host)?)))
    };
    let read = stored(&app, Stored::Nothing, read).await?;
    let (assigned, mut runs, rebuilding) = read.ok_or_else(|| stale_epoch(&host))?;
    let expected = |one: container::Assigned| {
        let container::Assigned { id, status, engine, auto_remove, reported } = one;
        AssignedContainer {
            reported,
            container: id,
            status,
            engine,
            auto_remove,
            is_rebuilding: rebuilding.contains(&id),
            last_run: runs.remove(&id),
        }
    };
    Ok(Assigned { containers: assigned.into_iter().map(expected).collect() })
}
