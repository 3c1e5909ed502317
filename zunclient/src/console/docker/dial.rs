//! TLS connections to a host with a grant. The host's certificate must be issued by the CA of the endpoint. It is
//! verified before any data is sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zun_common::api::v1::console::Tls;
use zun_common::secret::Secret;

use super::address::Address;
use super::liveness::milliseconds;
use super::stream::Stream;
use super::upgrade::tunnel;
use crate::console::proxies::{Tunnel, UnsupportedScheme};
use crate::console::{ConsoleError, LinkTimeouts, Proxies};

/// How long to wait for one address before also trying the next one (RFC 8305, section 8).
const NEXT_ATTEMPT: Duration = Duration::from_millis(250);
/// How many TCP keepalive probes may stay unanswered.
const PROBES: u32 = 3;

/// Opens connections with one grant.
#[derive(Clone)]
pub struct Dialer {
    connector: TlsConnector,
    link: LinkTimeouts,
    proxies: Proxies,
}

impl Dialer {
    /// Creates a dialer from the endpoint's certificates and the client's key.
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
        Ok(Self { connector, link: LinkTimeouts::default(), proxies: Proxies::default() })
    }

    /// Creates a dialer without a client certificate. It trusts the system's CAs and those in `extra_roots` (PEM).
    pub fn without_certificate(extra_roots: &[u8]) -> Result<Self, ConsoleError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots: Vec<_> = CertificateDer::pem_slice_iter(extra_roots)
            .collect::<Result<_, _>>()
            .map_err(ConsoleError::NotPem)?;
        let verifier = Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
            .map_err(ConsoleError::BadCertificates)?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(ConsoleError::BadCertificates)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { connector, link: LinkTimeouts::default(), proxies: Proxies::default() })
    }

    /// Returns this dialer with the given timeouts and proxies.
    #[must_use]
    pub fn with_options(self, link: LinkTimeouts, proxies: Proxies) -> Self {
        Self { link, proxies, ..self }
    }

    /// Returns the timeouts of its connections.
    pub const fn link(&self) -> LinkTimeouts {
        self.link
    }

    /// Opens a TLS connection. If it cannot connect, the error names every address that it tried.
    pub async fn dial(&self, address: &Address) -> Result<Stream, ConsoleError> {
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_not_a_name| ConsoleError::BadAddress(address.host.clone()))?;
        let stream = self.connect(address).await?;
        keep_alive(&stream, &self.link).map_err(|cause| unreachable(address.authority(), cause))?;
        match timeout(self.link.handshake, self.connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Stream::new(stream, self.link.keepalive)),
            Ok(Err(cause)) => Err(ConsoleError::Handshake { address: address.authority(), cause }),
            Err(_elapsed) => Err(ConsoleError::NoAnswer { address: address.authority() }),
        }
    }

    /// Returns `true` if the host accepts a TCP connection now.
    pub(super) async fn can_connect(&self, address: &Address) -> bool {
        self.connect(address).await.is_ok()
    }

    /// Connects directly, or through a proxy if the environment sets one for this host.
    async fn connect(&self, address: &Address) -> Result<TcpStream, ConsoleError> {
        let asked = address.authority();
        let proxy_route =
            self.proxies.route_to(&address.host, &asked).map_err(|UnsupportedScheme(kind)| {
                ConsoleError::UnsupportedProxy { address: asked.clone(), kind }
            })?;
        let Some(Tunnel { host, port, authorization }) = proxy_route else {
            let connected = connect(address, self.link.connect).await;
            return connected
                .map_err(|ConnectError { attempted, cause }| unreachable(attempted, cause));
        };
        let proxy = Address { host, port, target: String::new() };
        let stream = connect(&proxy, self.link.connect).await.map_err(
            |ConnectError { attempted, cause }| {
                unreachable(format!("{asked} (through the proxy {attempted})"), cause)
            },
        )?;
        tunnel(stream, &asked, &proxy.authority(), authorization.as_ref()).await
    }
}

/// Why connecting failed, and the addresses that were tried.
struct ConnectError {
    attempted: String,
    cause: io::Error,
}

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, ConsoleError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(ConsoleError::NotPem)
}

async fn connect(address: &Address, within: Duration) -> Result<TcpStream, ConnectError> {
    let found = timeout(within, tokio::net::lookup_host((address.host.as_str(), address.port)))
        .await
        .unwrap_or_else(|elapsed| Err(io::Error::new(io::ErrorKind::TimedOut, elapsed)));
    let found: Vec<SocketAddr> = match found {
        Ok(found) => found.collect(),
        Err(cause) => return Err(ConnectError { attempted: address.authority(), cause }),
    };
    let attempted = describe_attempts(address, &found);
    race(interleave_families(found), within)
        .await
        .map_err(|cause| ConnectError { attempted, cause })
}

/// Returns the first connection that opens (RFC 8305, section 5). The next attempt starts when one fails, or after
/// [`NEXT_ATTEMPT`], so an address family without a route costs little time.
async fn race(candidates: Vec<SocketAddr>, within: Duration) -> io::Result<TcpStream> {
    let mut candidates = candidates.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name resolves to no address");
    loop {
        if let Some(candidate) = candidates.next() {
            under_way.push(timeout(within, TcpStream::connect(candidate)));
        }
        tokio::select! {
            biased;
            outcome = under_way.next() => match outcome {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(cause))) => last = cause,
                Some(Err(elapsed)) => last = io::Error::new(io::ErrorKind::TimedOut, elapsed),
                None => return Err(last),
            },
            () = tokio::time::sleep(NEXT_ATTEMPT), if candidates.len() > 0 => {}
        }
    }
}

/// Alternates between IPv4 and IPv6, and otherwise keeps the resolver's order (RFC 8305, section 4).
fn interleave_families(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = found.first().is_some_and(SocketAddr::is_ipv6);
    let (same, other): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first);
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(same.next());
        all.extend(other.next());
        if all.len() == before {
            return all;
        }
    }
}

fn describe_attempts(address: &Address, found: &[SocketAddr]) -> String {
    let tried: Vec<String> = found.iter().map(SocketAddr::to_string).collect();
    let tried = tried.join(", ");
    let asked = address.authority();
    if tried == asked { asked } else { format!("{asked} (tried {tried})") }
}

const fn unreachable(address: String, cause: io::Error) -> ConsoleError {
    ConsoleError::Unreachable { address, cause }
}

/// Sends keys without delay, and detects a peer that is gone: keepalive probes cover an idle link, and the user timeout
/// covers unacknowledged data.
fn keep_alive(stream: &TcpStream, link: &LinkTimeouts) -> io::Result<()> {
    use rustix::net::sockopt;
    let second = Duration::from_secs(1);
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, link.probe_after.max(second))?;
    sockopt::set_tcp_keepintvl(stream, (link.give_up_after / PROBES).max(second))?;
    sockopt::set_tcp_keepcnt(stream, PROBES)?;
    sockopt::set_tcp_user_timeout(stream, milliseconds(link.peer_timeout()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    /// Returns an address that does not answer because its accept queue is full.
    async fn unresponsive() -> (SocketAddr, (TcpListener, Vec<TcpStream>)) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(0).expect("it listens");
        let address = listener.local_addr().expect("an address");
        let mut held = Vec::new();
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            held.push(stream);
        }
        (address, (listener, held))
    }

    async fn accept_all(listener: &TcpListener) {
        while timeout(Duration::from_mins(1), listener.accept()).await.is_ok() {}
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_does_not_hold_up_the_next() {
        let (unresponsive, _full) = unresponsive().await;
        let good = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let good_address = good.local_addr().expect("an address");
        let within = Duration::from_mins(1);
        let dial = race(vec![unresponsive, good_address], within);
        let stream = timeout(within / 2, dial).await.expect("soon").expect("a connection");
        assert_eq!(stream.peer_addr().expect("a peer"), good_address);
    }

    #[tokio::test]
    async fn a_slow_address_is_used_if_the_others_refuse() {
        // Nothing listens on port 1 of loopback.
        let refusing: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let (slow, (listener, _held)) = unresponsive().await;
        let dial = race(vec![slow, refusing, refusing], Duration::from_mins(1));
        let opens = async {
            // The others have refused before this ends. The kernel sends the SYN again after a second, and then connects.
            tokio::time::sleep(NEXT_ATTEMPT * 2).await;
            accept_all(&listener).await;
        };
        let dialled = tokio::select! {
            dialled = dial => dialled.expect("one"),
            () = opens => panic!("no connection was opened"),
        };
        assert_eq!(dialled.peer_addr().expect("a peer"), slow);
        let error = race(vec![refusing], Duration::from_secs(5)).await.expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = race(Vec::new(), Duration::from_secs(5)).await.expect_err("nowhere");
        assert_eq!(error.to_string(), "the name resolves to no address");
    }

    #[test]
    fn attempts_alternate_between_address_families() {
        let addresses = |texts: [&str; 5]| texts.map(|text| text.parse().expect(text)).to_vec();
        let found = addresses(["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let turns = addresses(["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(interleave_families(found), turns);
    }
}
