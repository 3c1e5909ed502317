//! TLS connections to one host with one grant. The host's certificate is verified against the endpoint's
//! authority alone, before a byte is sent.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
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

/// How long one address is waited for before the next one is tried beside it (RFC 8305, section 8).
const NEXT_ATTEMPT: Duration = Duration::from_millis(250);
/// How often a silent peer is probed before it is given up.
const PROBES: u32 = 3;

/// Dials with one grant.
#[derive(Clone)]
pub struct Dialer {
    connector: TlsConnector,
    link: LinkTimeouts,
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
        Ok(Self { connector, link: LinkTimeouts::default(), proxies: Proxies::default() })
    }

    /// The same with these times and through these proxies.
    #[must_use]
    pub fn with_options(self, link: LinkTimeouts, proxies: Proxies) -> Self {
        Self { link, proxies, ..self }
    }

    /// The times of its links.
    pub const fn link(&self) -> LinkTimeouts {
        self.link
    }

    /// Dials; an error names each address that was tried.
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

    /// Whether the host takes a connection now.
    pub(super) async fn can_connect(&self, address: &Address) -> bool {
        self.connect(address).await.is_ok()
    }

    /// Straight, or through the proxy on the way.
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

/// Why there is no connection, and what was tried.
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

/// Tries addresses one after the other, the next when one has failed or has not answered for a moment; the first that
/// answers is taken (RFC 8305, section 5), so that one family of addresses that leads nowhere costs little.
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

/// The system's order, with the families in turn (RFC 8305, section 4).
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

/// No delay for keys; and a peer that vanished is noticed, whether nothing is sent or something that it does
/// not acknowledge.
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

    /// An address that does not answer: its queue is full.
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
    async fn a_slow_address_is_still_taken_when_the_others_refuse() {
        // Port 1 of loopback is nobody's.
        let refusing: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let (slow, (listener, _held)) = unresponsive().await;
        let dial = race(vec![slow, refusing, refusing], Duration::from_mins(1));
        let opens = async {
            // The others have refused by now; the kernel asks again after a second, and is let in.
            tokio::time::sleep(NEXT_ATTEMPT * 2).await;
            accept_all(&listener).await;
        };
        let dialled = tokio::select! {
            dialled = dial => dialled.expect("one"),
            () = opens => panic!("nobody came"),
        };
        assert_eq!(dialled.peer_addr().expect("a peer"), slow);
        let error = race(vec![refusing], Duration::from_secs(5)).await.expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = race(Vec::new(), Duration::from_secs(5)).await.expect_err("nowhere");
        assert_eq!(error.to_string(), "the name resolves to no address");
    }

    #[test]
    fn families_of_addresses_are_tried_in_turn() {
        let addresses = |texts: [&str; 5]| texts.map(|text| text.parse().expect(text)).to_vec();
        let found = addresses(["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let turns = addresses(["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(interleave_families(found), turns);
    }
}
