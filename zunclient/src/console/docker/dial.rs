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
use zun_common::api::v1::console::Tls;
use zun_common::secret::Secret;

use super::address::Address;
use super::patience::milliseconds;
use super::stream::Stream;
use super::upgrade::tunnel;
use crate::console::proxies::{Tunnel, UnknownKind};
use crate::console::{ConsoleError, Link, Proxies};

/// How often a silent peer is probed before it is given up.
const PROBES: u32 = 3;

/// Dials with one grant.
#[derive(Clone)]
pub struct Dialer {
    connector: TlsConnector,
    link: Link,
    proxies: Proxies,
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
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { connector, link: Link::default(), proxies: Proxies::default() })
    }

    /// The same with these times and through these proxies.
    #[must_use]
    pub fn over(self, link: Link, proxies: Proxies) -> Self {
        Self { link, proxies, ..self }
    }

    /// The times of its links.
    pub const fn link(&self) -> Link {
        self.link
    }

    /// Dials; an error names each address that was tried.
    pub async fn dial(&self, address: &Address) -> Result<Stream, ConsoleError> {
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_not_a_name| ConsoleError::BadAddress(address.host.clone()))?;
        let stream = self.connect(address).await?;
        keep_alive(&stream, &self.link).map_err(|cause| unreachable(address.authority(), cause))?;
        match timeout(self.link.handshake, self.connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Stream::new(stream, self.link.beat)),
            Ok(Err(cause)) => Err(ConsoleError::Handshake { address: address.authority(), cause }),
            Err(_elapsed) => Err(ConsoleError::Silent { address: address.authority() }),
        }
    }

    /// Whether the host takes a connection now.
    pub(super) async fn reaches(&self, address: &Address) -> bool {
        self.connect(address).await.is_ok()
    }

    /// Straight, or through the proxy on the way.
    async fn connect(&self, address: &Address) -> Result<TcpStream, ConsoleError> {
        let asked = address.authority();
        let way = self.proxies.to(&address.host, &asked).map_err(|UnknownKind(kind)| {
            ConsoleError::UnknownProxy { address: asked.clone(), kind }
        })?;
        let Some(Tunnel { host, port, authorization }) = way else {
            let connected = connect(address, self.link.connect).await;
            return connected.map_err(|Failed { tried, cause }| unreachable(tried, cause));
        };
        let proxy = Address { host, port, target: String::new() };
        let stream =
            connect(&proxy, self.link.connect).await.map_err(|Failed { tried, cause }| {
                unreachable(format!("{asked} (through the proxy {tried})"), cause)
            })?;
        tunnel(stream, &asked, &proxy.authority(), authorization.as_ref()).await
    }
}

/// Why there is no connection, and what was tried.
struct Failed {
    tried: String,
    cause: io::Error,
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, ConsoleError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(ConsoleError::NotPem)
}

async fn connect(address: &Address, within: Duration) -> Result<TcpStream, Failed> {
    let found = timeout(within, tokio::net::lookup_host((address.host.as_str(), address.port)))
        .await
        .unwrap_or_else(|elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)));
    let found: Vec<SocketAddr> = match found {
        Ok(found) => found.collect(),
        Err(cause) => return Err(Failed { tried: address.authority(), cause }),
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in &found {
        match timeout(within, TcpStream::connect(candidate)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(cause)) => last = cause,
            Err(elapsed) => last = io::Error::new(io::ErrorKind::TimedOut, elapsed),
        }
    }
    Err(Failed { tried: tried(address, &found), cause: last })
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

/// No delay for keys; and a peer that vanished is noticed, whether nothing is sent or something that it does
/// not acknowledge.
fn keep_alive(stream: &TcpStream, link: &Link) -> io::Result<()> {
    use rustix::net::sockopt;
    let second = Duration::from_secs(1);
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, link.idle.max(second))?;
    sockopt::set_tcp_keepintvl(stream, (link.silence / PROBES).max(second))?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_tcp_user_timeout(stream, milliseconds(link.patience()))?;
    Ok(())
}
