//! TLS connections to one host with one grant. The host's certificate is verified against the endpoint's
//! authority alone, before a byte is sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zun_common::api::v1::console::Tls;
use zun_common::secret::Secret;

use super::address::Address;
use crate::console::ConsoleError;

/// A connection to a host.
pub type Stream = TlsStream<TcpStream>;

const CONNECT: Duration = Duration::from_secs(5);
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Dials with one grant.
#[derive(Clone)]
pub struct Dialer {
    connector: TlsConnector,
}

impl Dialer {
    /// From the endpoint's certificates and our key.
    pub fn new(tls: &Tls, key: &Secret<String>) -> Result<Self, ConsoleError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&tls.ca)? {
            roots.add(authority).map_err(ConsoleError::BadCertificates)?;
        }
        let key =
            PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(ConsoleError::NotPem)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ConsoleError::BadCertificates)?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(&tls.certificate)?, key)
            .map_err(ConsoleError::BadCertificates)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)) })
    }

    /// Dials; an error names each address that was tried.
    pub async fn dial(&self, address: &Address) -> Result<Stream, ConsoleError> {
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_not_a_name| ConsoleError::BadAddress(address.host.clone()))?;
        let stream = connect(address).await?;
        keep_alive(&stream).map_err(|cause| unreachable(address.authority(), cause))?;
        match timeout(HANDSHAKE, self.connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(cause)) => Err(ConsoleError::Handshake { address: address.authority(), cause }),
            Err(_elapsed) => Err(ConsoleError::Silent { address: address.authority() }),
        }
    }
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, ConsoleError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(ConsoleError::NotPem)
}

async fn connect(address: &Address) -> Result<TcpStream, ConsoleError> {
    let found = timeout(CONNECT, tokio::net::lookup_host((address.host.as_str(), address.port)))
        .await
        .unwrap_or_else(|elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)));
    let found: Vec<SocketAddr> =
        found.map_err(|cause| unreachable(address.authority(), cause))?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in &found {
        match timeout(CONNECT, TcpStream::connect(candidate)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(cause)) => last = cause,
            Err(elapsed) => last = io::Error::new(io::ErrorKind::TimedOut, elapsed),
        }
    }
    Err(unreachable(tried(address, &found), last))
}

fn tried(address: &Address, found: &[SocketAddr]) -> String {
    let tried: Vec<String> = found.iter().map(SocketAddr::to_string).collect();
    let tried = tried.join(", ");
    let asked = address.authority();
    if tried == asked { asked } else { format!("{asked} (tried {tried})") }
}

const fn unreachable(address: String, cause: io::Error) -> ConsoleError {
    ConsoleError::Unreachable { address, cause }
}

/// No delay for keys, and a peer that vanished is noticed within 15 seconds even when nothing is sent.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(5))?;
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(3))?;
    sockopt::set_tcp_keepcnt(stream, 3)?;
    Ok(())
}
