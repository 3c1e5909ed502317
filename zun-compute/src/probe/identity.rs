//! What a dialling client shows: a granted certificate, or one that only looks like it.

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

/// A client certificate that cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("it cannot be signed")]
    Unsigned(#[from] rcgen::Error),
    #[error("it is not PEM")]
    NotPem(#[from] rustls::pki_types::pem::Error),
    #[error("it cannot be used")]
    Unusable(#[from] rustls::Error),
}

impl Identity {
    /// From PEM, as it was signed.
    pub(crate) fn from_pem(certificate: &str, key: &str) -> Result<Self, IdentityError> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { chain, key: PrivateKeyDer::from_pem_slice(key.as_bytes())? })
    }

    /// Signed by an authority of the same name with another key.
    pub(crate) fn foreign(ca: &str) -> Result<Self, IdentityError> {
        let issuer = Issuer::from_ca_cert_pem(ca, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "foreign");
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
