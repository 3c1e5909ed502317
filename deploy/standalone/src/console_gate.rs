//! The console gate of the standalone service, in the same process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use zun_common::id::HostName;
use zun_compute::certificate::CertificateFiles;
use zun_gate::run::{Gate, Handover};
use zun_gate::settings::{PublicSettings, Settings, TlsSettings};

/// Why the gate cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It cannot start.
    #[error(transparent)]
    Start(#[from] zun_gate::run::Failure),
    /// Its address is not known.
    #[error("cannot find its address")]
    Address(#[source] std::io::Error),
}

/// The server name for clients with tickets. The host's certificate has it too.
const PUBLIC_NAME: &str = "localhost";

/// Starts the gate on a free port, with the certificate of the engine's TLS listener. Returns its address too.
pub(crate) async fn start(
    host: &HostName,
    engine: PathBuf,
    files: CertificateFiles,
    (notify, control): (PathBuf, PathBuf),
) -> Result<(Gate, SocketAddr), Failure> {
    let CertificateFiles { ca, certificate, key } = files;
    let mut settings = Settings { host: Some(host.clone()), ..Settings::default() };
    settings.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    settings.docker.socket = engine;
    settings.notify_socket = Some(notify);
    settings.control_socket = Some(control);
    settings.public = Some(PublicSettings {
        name: PUBLIC_NAME.parse().expect("a name"),
        port: None,
        certificate: certificate.clone(),
        key: key.clone(),
        origins: Vec::new(),
    });
    settings.tls = TlsSettings { ca, certificate, key };
    let gate = Gate::start(&settings, Handover::default()).await?;
    let address = gate.address().map_err(Failure::Address)?;
    Ok((gate, address))
}
