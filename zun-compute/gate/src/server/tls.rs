//! TLS 1.3 with client certificates that carry grants.

use std::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};
use zun_common::client_certificate::{GrantCertificate, TrustedCas};

use super::reloading::Reloading;
use crate::settings::TlsSettings;

/// The files of TLS cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the files of TLS")]
pub struct TlsError(#[source] Box<dyn Error + Send + Sync>);

/// The CAs of grants, and the server's side of TLS.
#[derive(Clone)]
pub(super) struct Tls {
    cas: Arc<Reloading<TrustedCas>>,
    config: Arc<ServerConfig>,
}

impl Tls {
    pub(super) fn load(files: &TlsSettings) -> Result<Self, TlsError> {
        let TlsSettings { ca, certificate, key } = files.clone();
        let file = ca.clone();
        let cas = Reloading::load("the CAs", vec![ca], move || Ok(TrustedCas::read(&file)?))
            .map_err(TlsError)?;
        let cas = Arc::new(cas);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (own, files) = (Arc::clone(&provider), vec![certificate.clone(), key.clone()]);
        let read = move || certified_key(&own, &certificate, &key);
        let key = Reloading::load("the host's certificate", files, read).map_err(TlsError)?;
        let verifier = GrantVerifier { cas: Arc::clone(&cas), provider: Arc::clone(&provider) };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|cause| TlsError(cause.into()))?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(HostKey(key)));
        // Each connection shows its certificate.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { cas, config: Arc::new(config) })
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Reads the grant of a client that has passed the handshake.
    pub(super) fn grant(&self, chain: Option<&[CertificateDer<'_>]>) -> Option<GrantCertificate> {
        GrantCertificate::read(chain?.first()?, &self.cas.current()).ok()
    }
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
