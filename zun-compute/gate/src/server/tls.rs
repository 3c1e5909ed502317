//! TLS 1.3: with client certificates that carry grants, and without client certificates for the public name.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ConfigBuilder, DigitallySignedStruct, DistinguishedName, ServerConfig,
    SignatureScheme, WantsVerifier,
};
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use zun_common::client_certificate::{GrantCertificate, TrustedCas};
use zun_common::id::HostName;

use super::reloading::Reloading;
use crate::settings::{PublicSettings, TlsSettings};

/// The TLS files cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the TLS files")]
pub struct TlsError(#[source] Box<dyn Error + Send + Sync>);

/// The CAs of grants, and the server's side of TLS.
#[derive(Clone)]
pub(super) struct Tls {
    cas: Arc<Reloading<TrustedCas>>,
    config: Arc<ServerConfig>,
    /// The name for clients with tickets.
    public: Option<(HostName, Arc<ServerConfig>)>,
}

/// What a client has presented in the handshake.
pub(super) enum Presented {
    /// A certificate with a grant.
    Grant(Box<GrantCertificate>),
    /// Nothing, because it uses the name for clients with tickets.
    Nothing,
}

impl Tls {
    pub(super) fn load(
        files: &TlsSettings,
        public: Option<&PublicSettings>,
    ) -> Result<Self, TlsError> {
        let TlsSettings { ca, certificate, key } = files.clone();
        let file = ca.clone();
        let cas = Reloading::load("the CAs", vec![ca], move || Ok(TrustedCas::read(&file)?))
            .map_err(TlsError)?;
        let cas = Arc::new(cas);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = GrantVerifier { cas: Arc::clone(&cas), provider: Arc::clone(&provider) };
        let key = HostKey::load("the host's certificate", &provider, (certificate, key))?;
        let config = builder(&provider)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(key));
        let public = public.map(|public| with_tickets(public, &provider)).transpose()?;
        Ok(Self { cas, config: hardened(config), public })
    }

    /// Accepts a client that has a grant, or that uses the name for clients with tickets.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
    ) -> io::Result<Option<(TlsStream<TcpStream>, Presented)>> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let name = start.client_hello().server_name().map(str::to_owned);
        let public = self.public.as_ref().filter(|(public, _)| {
            name.is_some_and(|name| name.eq_ignore_ascii_case(public.as_str()))
        });
        if let Some((_, config)) = public {
            let stream = start.into_stream(Arc::clone(config)).await?;
            return Ok(Some((stream, Presented::Nothing)));
        }
        let stream = start.into_stream(Arc::clone(&self.config)).await?;
        let grant = self.grant(stream.get_ref().1.peer_certificates());
        Ok(grant.map(|grant| (stream, Presented::Grant(Box::new(grant)))))
    }

    /// Reads the grant of a client that has passed the handshake.
    fn grant(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<GrantCertificate> {
        GrantCertificate::read(chain?.first()?, &self.cas.current()).ok()
    }
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, TlsError> {
    ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|cause| TlsError(cause.into()))
}

/// The name for clients with tickets, and how it is served.
fn with_tickets(
    public: &PublicSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<(HostName, Arc<ServerConfig>), TlsError> {
    let files = (public.certificate.clone(), public.key.clone());
    let key = HostKey::load("the certificate of the public name", provider, files)?;
    let config = builder(provider)?.with_no_client_auth().with_cert_resolver(Arc::new(key));
    Ok((public.name.clone(), hardened(config)))
}

fn hardened(mut config: ServerConfig) -> Arc<ServerConfig> {
    // Each connection shows its certificate.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// The present Unix time in seconds.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn certified_key(
    provider: &CryptoProvider,
    certificate: &Path,
    key: &Path,
) -> Result<CertifiedKey, Box<dyn Error + Send + Sync>> {
    let about = |file: &Path, cause: rustls::pki_types::pem::Error| {
        format!("cannot read `{}`: {cause}", file.display())
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|cause| about(certificate, cause))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|cause| about(key, cause))?;
    let certified = CertifiedKey::from_der(chain, key, provider)?;
    certified.keys_match()?;
    Ok(certified)
}

struct HostKey(Reloading<CertifiedKey>);

impl HostKey {
    fn load(
        what: &'static str,
        provider: &Arc<CryptoProvider>,
        (certificate, key): (PathBuf, PathBuf),
    ) -> Result<Self, TlsError> {
        let (own, files) = (Arc::clone(provider), vec![certificate.clone(), key.clone()]);
        let read = move || certified_key(&own, &certificate, &key);
        Reloading::load(what, files, read).map(Self).map_err(TlsError)
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("HostKey")
    }
}

impl ResolvesServerCert for HostKey {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

/// Accepts certificates that carry a grant of a trusted CA. Whether the grant is still valid, and for what, is decided
/// with the request: a client that resumes its session may have an expired one.
struct GrantVerifier {
    cas: Arc<Reloading<TrustedCas>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for GrantVerifier {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("GrantVerifier")
    }
}

impl ClientCertVerifier for GrantVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match GrantCertificate::read(leaf, &self.cas.current()) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("only TLS 1.3 is served".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
