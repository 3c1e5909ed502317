//! Certificates for the service's own health check.
//!
//! The health check dials the listener like a client. It must work with every certificate that the operator installs,
//! also one that has expired or that another CA signed, and without a client certificate of the operator. So it has its
//! own CA, whose key is in memory until this module has signed one certificate. The listener shows that certificate
//! only to connections that ask for its name.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};

use super::TlsError;

/// The name of the certificate. No host can have it: `.invalid` is reserved by RFC 2606.
pub(super) const NAME: &str = "zun-api-health-check.invalid";

/// The name of the certificate, for TLS.
pub(crate) fn server_name() -> ServerName<'static> {
    ServerName::try_from(NAME).expect("a valid name")
}

/// The certificates of one process.
pub(super) struct SelfCheck {
    /// The CA that signed both sides' certificate.
    pub(super) ca: CertificateDer<'static>,
    /// What the listener presents.
    pub(super) server: Arc<CertifiedKey>,
    /// How the health check dials.
    pub(super) client: Arc<ClientConfig>,
}

impl SelfCheck {
    pub(super) fn new(provider: &Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let ca_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = params.self_signed(&ca_key)?.der().clone();
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let mut leaf = CertificateParams::new(vec![NAME.to_owned()])?;
        leaf.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let chain = vec![leaf.signed_by(&key, &Issuer::new(params, ca_key))?.der().clone()];
        let private = || PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let server = CertifiedKey::from_der(chain.clone(), private(), provider)?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone())?;
        let client = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, private())?;
        Ok(Self { ca, server: Arc::new(server), client: Arc::new(client) })
    }
}
