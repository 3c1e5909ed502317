//! What an engine's TLS listener does with a client, seen from outside: it is dialled as clients dial it.
//!
//! Under TLS 1.3 a client learns only when it reads that it was refused, so each dial asks something and
//! looks at what comes back: an alert, an end, or an answer.

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

/// How long one dial and its answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What is asked of a listener that should not even listen.
const ANYTHING: &str = "GET /_ping";
const MAX_ANSWER: usize = 64 << 10;

/// A listener that is to be dialled.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    /// `host:port`, as it is advertised.
    address: String,
    name: ServerName<'static>,
    ca: String,
    roots: Arc<RootCertStore>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    /// Cut before a byte of HTTP.
    Refused,
    /// Answered.
    Answered {
        /// The status.
        status: u16,
        /// Head and body, as far as they were read.
        text: String,
    },
}

/// A listener that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("the authority is not one or more certificates in PEM")]
    InvalidCa,
    #[error("`{0}` is no name or address that can be dialled")]
    InvalidName(String),
    #[error("{address} cannot be reached")]
    Unreachable {
        address: String,
        #[source]
        cause: io::Error,
    },
    #[error("{address} does not speak TLS with a certificate of this host")]
    TlsFailed {
        address: String,
        #[source]
        cause: io::Error,
    },
    #[error("{0} does not answer")]
    NoAnswer(String),
    #[error("{0} answers something that is not HTTP")]
    NotHttp(String),
    #[error("{0} lets in a client without a certificate")]
    AcceptsAnonymous(String),
    #[error("{0} lets in a client with a certificate of another authority")]
    AcceptsOtherCa(String),
    #[error("no client certificate to dial with can be made")]
    Identity(#[from] IdentityError),
}

impl Listener {
    /// `address` is `host:port`; only the authority in PEM is trusted.
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

    /// A client without a certificate, and one whose certificate only looks like ours, must be cut off.
    pub(crate) async fn refuses_strangers(&self) -> Result<(), ProbeError> {
        if self.ask(None, ANYTHING).await? != ProbeResult::Refused {
            return Err(ProbeError::AcceptsAnonymous(self.address.clone()));
        }
        let foreign = Identity::foreign(&self.ca)?;
        if self.ask(Some(&foreign), ANYTHING).await? != ProbeResult::Refused {
            return Err(ProbeError::AcceptsOtherCa(self.address.clone()));
        }
        Ok(())
    }

    /// Dials and asks once: `line` is a method and a target.
    pub(crate) async fn ask(
        &self,
        identity: Option<&Identity>,
        line: &str,
    ) -> Result<ProbeResult, ProbeError> {
        match tokio::time::timeout(TIMEOUT, self.dial(identity, line)).await {
            Ok(met) => met,
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
        self.met(&read)
    }

    fn met(&self, read: &[u8]) -> Result<ProbeResult, ProbeError> {
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

/// Whether the peer said why it ends the connection, as it does where it refuses a client.
fn is_alert(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(_)))
}

/// What is answered before the connection ends, in whatever way; nothing where the client is refused.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, line: &str) -> Vec<u8> {
    let request = format!(
        "{line} HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    // One that is refused may not be able to send it all; what was said to it can still be read.
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
