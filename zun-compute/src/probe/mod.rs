//! Probes Docker's TLS listener from outside, as clients dial it.
//!
//! Under TLS 1.3 a rejected client gets the alert only when it reads. So each probe sends a request and checks whether
//! it gets an alert, the end of the stream, or an answer.

mod identity;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) use identity::{Identity, IdentityError};

/// The time limit of one probe.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The request of clients that the listener must reject.
const PING: &str = "GET /_ping";
const MAX_ANSWER: usize = 64 << 10;

/// A listener to probe.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// The advertised `host:port`.
    address: String,
    name: ServerName<'static>,
    ca: String,
    roots: Arc<RootCertStore>,
}

/// The result of one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    /// The listener rejected the client: it sent a TLS alert, or closed the connection without an answer.
    Refused,
    /// The listener answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// Head and body, at most 64 KiB.
        text: String,
    },
}

/// Why a listener is not usable or not safe.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("the CA file must contain one or more certificates in PEM")]
    InvalidCa,
    #[error("`{0}` is not a valid host name or IP address")]
    InvalidName(String),
    #[error("cannot connect to {address}")]
    Unreachable {
        address: String,
        #[source]
        cause: io::Error,
    },
    #[error("{address} does not present a valid TLS certificate of this host")]
    TlsFailed {
        address: String,
        #[source]
        cause: io::Error,
    },
    #[error("{0} does not answer within 10 s")]
    NoAnswer(String),
    #[error("the answer of {0} is not HTTP")]
    NotHttp(String),
    #[error("{0} accepts clients without a certificate")]
    AcceptsAnonymous(String),
    #[error("{0} accepts client certificates of another CA")]
    AcceptsOtherCa(String),
    #[error("cannot create a client certificate for the probe")]
    Identity(#[from] IdentityError),
}

impl Listener {
    /// Creates a probe of `address` (`host:port`) that trusts only the CAs in `ca` (PEM).
    pub(crate) fn new(address: &str, ca: &str) -> Result<Self, ProbeError> {
        let host = address.rsplit_once(':').map_or(address, |(host, _port)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let Ok(name) = ServerName::try_from(host.clone()) else {
            return Err(ProbeError::InvalidName(host));
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
            let added = certificate.ok().and_then(|certificate| roots.add(certificate).ok());
            added.ok_or(ProbeError::InvalidCa)?;
        }
        if roots.is_empty() {
            return Err(ProbeError::InvalidCa);
        }
        let ca = ca.to_owned();
        Ok(Self { address: address.to_owned(), name, ca, roots: Arc::new(roots) })
    }

    /// Checks that the listener rejects a client without a certificate and a client with a forged one.
    pub(crate) async fn rejects_unauthorized(&self) -> Result<(), ProbeError> {
        if self.ask(None, PING).await? != ProbeResult::Refused {
            return Err(ProbeError::AcceptsAnonymous(self.address.clone()));
        }
        let forged = Identity::forged(&self.ca)?;
        if self.ask(Some(&forged), PING).await? != ProbeResult::Refused {
            return Err(ProbeError::AcceptsOtherCa(self.address.clone()));
        }
        Ok(())
    }

    /// Dials the listener and sends one request. `line` is a method and a target.
    pub(crate) async fn ask(
        &self,
        identity: Option<&Identity>,
        line: &str,
    ) -> Result<ProbeResult, ProbeError> {
        match tokio::time::timeout(TIMEOUT, self.dial(identity, line)).await {
            Ok(result) => result,
            Err(_elapsed) => Err(ProbeError::NoAnswer(self.address.clone())),
        }
    }

    async fn dial(
        &self,
        identity: Option<&Identity>,
        line: &str,
    ) -> Result<ProbeResult, ProbeError> {
        let config = self.config(identity)?;
        let socket = TcpStream::connect(&self.address)
            .await
            .map_err(|cause| ProbeError::Unreachable { address: self.address.clone(), cause })?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(self.name.clone(), socket);
        let stream = match connecting.await {
            Ok(stream) => stream,
            Err(cause) if is_alert(&cause) => return Ok(ProbeResult::Refused),
            Err(cause) => {
                return Err(ProbeError::TlsFailed { address: self.address.clone(), cause });
            }
        };
        let read = exchange(stream, line).await;
        if read.is_empty() {
            return Ok(ProbeResult::Refused);
        }
        self.parse(&read)
    }

    fn parse(&self, read: &[u8]) -> Result<ProbeResult, ProbeError> {
        let text = String::from_utf8_lossy(read).into_owned();
        let status = text
            .strip_prefix("HTTP/1.")
            .and_then(|rest| rest.split(' ').nth(1))
            .and_then(|status| status.parse().ok());
        match status {
            Some(status) => Ok(ProbeResult::Answered { status, text }),
            None => Err(ProbeError::NotHttp(self.address.clone())),
        }
    }

    fn config(&self, identity: Option<&Identity>) -> Result<ClientConfig, ProbeError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(IdentityError::Unusable)?
            .with_root_certificates(Arc::clone(&self.roots));
        Ok(match identity {
            None => trusting.with_no_client_auth(),
            Some(identity) => identity.client_config(trusting)?,
        })
    }
}

/// Whether the error is a TLS alert from the listener.
fn is_alert(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}

/// Sends the request and reads until the connection ends. The result is empty if the listener rejects the client.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, line: &str) -> Vec<u8> {
    let request = format!(
        "{line} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    // A rejected client may fail to send, but it can still read the alert.
    let _sent_or_refused = stream.write_all(request.as_bytes()).await.is_ok();
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    while read.len() < MAX_ANSWER {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(count) => read.extend_from_slice(chunk.get(..count).unwrap_or_default()),
        }
    }
    read
}
