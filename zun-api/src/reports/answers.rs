//! What agents ask.

use std::sync::Arc;

use chrono::Utc;
use zun_common::bus::Incoming;
use zun_common::chain;
use zun_common::rpc::container::CreateContainer;
use zun_common::rpc::host::{
    Assigned, AssignedContainer, AssignedContainers, HostCertificate, SignHostCertificate,
};
use zun_common::rpc::{Code, Problem};
use zun_common::status::Status;

use super::{own, stored};
use crate::app::App;
use crate::ca::CaError;
use crate::db::container::{self, Record};

/// Signs a host's server certificate.
pub(super) async fn sign(
    app: Arc<App>,
    call: SignHostCertificate,
    incoming: Incoming,
) -> Result<HostCertificate, Problem> {
    own(&call.host, &incoming)?;
    let Some(authority) = &app.authority else {
        let words = "zun-api has no certificate authority: console.ca_directory is not set";
        return Err(Problem::new(Code::NoConsole, words));
    };
    let certificate = authority
        .host_certificate(&call.host, &call.csr, Utc::now())
        .map_err(|error| refusal(&error))?;
    tracing::info!(
        target: "audit",
        { host.name = %call.host, request.id = %incoming.context.request },
        "signed a server certificate for host {}", call.host
    );
    Ok(HostCertificate { certificate, ca: authority.certificate_pem().to_owned() })
}

fn refusal(error: &CaError) -> Problem {
    if let CaError::Request(_) = error {
        return Problem::new(Code::BadRequest, chain(error));
    }
    tracing::error!(error = %chain(error), "a host's certificate could not be signed");
    Problem::new(Code::Internal, "the certificate could not be signed")
}

/// Tells a host which containers should be on it.
pub(super) async fn assigned(
    app: Arc<App>,
    call: AssignedContainers,
    incoming: Incoming,
) -> Result<Assigned, Problem> {
    own(&call.host, &incoming)?;
    let records = stored(&app, move |conn| container::assigned(conn, &call.host)).await?;
    Ok(Assigned { containers: records.into_iter().map(expected).collect() })
}

fn expected(record: Record) -> AssignedContainer {
    let create = (record.status == Status::Creating).then(|| CreateContainer {
        container: record.id,
        spec: record.spec.clone(),
        start: record.start_wanted,
    });
    AssignedContainer {
        container: record.id,
        generation: record.generation,
        status: record.status,
        engine: record.engine,
        auto_remove: record.spec.auto_remove,
        create,
    }
}
