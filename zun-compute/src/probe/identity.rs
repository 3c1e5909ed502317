//! The certificate that the probe presents: a real grant, or a forged one.

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair,
};
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder};

/// A client certificate and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// Why a client certificate cannot be created or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("cannot sign a client certificate")]
    Unsigned(#[from] rcgen::Error),
    #[error("the client certificate is not PEM")]
    NotPem(#[from] rustls::pki_types::pem::Error),
    #[error("cannot use the client certificate")]
    Unusable(#[from] rustls::Error),
}

impl Identity {
    /// Parses a certificate and its key in PEM.
    pub(crate) fn from_pem(certificate: &str, key: &str) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { chain, key: PrivateKeyDer::from_pem_slice(key.as_bytes())? })
    }

    /// Forges a certificate: signs it with a new key under the name of `ca` (PEM).
    pub(crate) fn forged(ca: &str) -> Result<Self, IdentityError> {
        let issuer = Issuer::from_ca_cert_pem(ca, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "forged");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer)?;
        Self::from_pem(&certificate.pem(), &key.serialize_pem())
    }

    pub(super) fn client_config(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, IdentityError> {
        Ok(builder.with_client_auth_cert(self.chain.clone(), self.key.clone_key())?)
    }
}
