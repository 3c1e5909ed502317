//! Client certificates, valid and invalid, and a client that dials an engine's TLS listener with them.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zun_api::ca::{CertificateAuthority, GRANT_LIFETIME_SECONDS};
use zun_common::grant::Grant;
use zun_common::pki::signing_request;

/// What a client presents: its certificate chain, leaf first, and the key that it signs with.
#[derive(Debug, Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    /// Reads a chain and a key from PEM.
    pub fn from_pem(chain: &str, key: &str) -> Self {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .expect("certificates in PEM");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key in PEM");
        Self { chain, key: Arc::new(key) }
    }

    /// Issues a grant as zun-api does, for a new key.
    pub fn granted(ca: &CertificateAuthority, grant: &Grant, id: &str, now: DateTime<Utc>) -> Self {
        let request = signing_request("client", Vec::new()).expect("a request");
        let issued = ca.grant(&request.csr, grant, id, now).expect("a grant");
        Self::from_pem(&issued.certificate, request.key.expose())
    }

    /// Returns the leaf certificate as PEM.
    pub fn leaf_pem(&self) -> String {
        let leaf = self.chain.first().expect("a certificate");
        let lines = STANDARD.encode(leaf);
        format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    }

    /// Returns the key as PEM.
    pub fn key_pem(&self) -> String {
        let lines = STANDARD.encode(self.key.secret_der());
        format!("-----BEGIN PRIVATE KEY-----\n{lines}\n-----END PRIVATE KEY-----\n")
    }

    /// Returns the same certificate with another key, like an attacker who stole only the certificate.
    #[must_use]
    pub fn stolen(&self) -> Self {
        let own = KeyPair::generate().expect("a key");
        let key = PrivateKeyDer::from_pem_slice(own.serialize_pem().as_bytes()).expect("a key");
        Self { chain: self.chain.clone(), key: Arc::new(key) }
    }

    /// Returns a rogue CA that signs with this certificate as if it were a CA certificate.
    pub fn as_ca(&self) -> RogueCa {
        let key = KeyPair::try_from(self.key.secret_der()).expect("a key");
        let leaf = self.chain.first().expect("a certificate");
        let ca_pem = String::new();
        RogueCa { issuer: Issuer::from_ca_cert_der(leaf, key).expect("an issuer"), ca_pem }
    }

    /// Returns a TLS server configuration that presents this identity.
    pub fn server(&self) -> rustls::ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .expect("a certificate and its key")
    }

    /// Appends another identity's certificates to the chain.
    #[must_use]
    pub fn followed_by(mut self, other: &Self) -> Self {
        self.chain.extend(other.chain.iter().cloned());
        self
    }

    /// Puts another identity's certificates in front of the chain, and keeps its own key.
    #[must_use]
    pub fn behind(mut self, other: &Self) -> Self {
        self.chain.splice(0..0, other.chain.iter().cloned());
        self
    }
}

/// Presents an identity without checking that key and certificate match.
#[derive(Debug)]
struct FixedIdentity(Arc<CertifiedKey>);

impl ResolvesClientCert for FixedIdentity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

/// A CA in an attacker's hands. It signs any certificate.
pub struct RogueCa {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
}

impl RogueCa {
    /// Reads the key of a real CA.
    pub fn of(directory: &Path) -> Self {
        let read = |name| std::fs::read_to_string(directory.join(name)).expect("a CA file");
        let ca_pem = read(zun_api::ca::CERTIFICATE_FILE);
        let key = KeyPair::from_pem(&read(zun_api::ca::KEY_FILE)).expect("a key");
        Self { issuer: Issuer::from_ca_cert_pem(&ca_pem, key).expect("a CA"), ca_pem }
    }

    /// Creates another CA with this name.
    pub fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), ca_pem }
    }

    /// Creates a CA whose certificate differs from this one's only in the key.
    #[must_use]
    pub fn with_another_key(&self) -> Self {
        let key = KeyPair::generate().expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&self.ca_pem, key).expect("a CA");
        Self { issuer, ca_pem: self.ca_pem.clone() }
    }

    /// Returns the CA certificate as PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Signs a grant like those of zun-api, valid now, after `change` has changed it.
    pub fn identity(&self, grant: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("forged");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri(grant)];
        params.use_authority_key_identifier_extension = true;
        let moment = |from_now| {
            let seconds = Utc::now().timestamp() + from_now;
            OffsetDateTime::from_unix_timestamp(seconds).expect("a time")
        };
        (params.not_before, params.not_after) = (moment(-60), moment(GRANT_LIFETIME_SECONDS));
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Identity::from_pem(&certificate.pem(), &key.serialize_pem())
    }

    /// Signs two grants for one key: one that is valid now, and one that has expired.
    pub fn two_ages(&self, grant: &str) -> (Identity, Identity) {
        let valid = self.identity(grant, |_| {});
        let key = KeyPair::try_from(valid.key.secret_der()).expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("forged");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri(grant)];
        let before = OffsetDateTime::now_utc() - time::Duration::hours(1);
        params.not_before = before;
        params.not_after = before + time::Duration::seconds(GRANT_LIFETIME_SECONDS);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        (valid, Identity::from_pem(&certificate.pem(), &key.serialize_pem()))
    }

    /// Returns the CA certificate as a client identity.
    pub fn itself(&self) -> Identity {
        Identity::from_pem(&self.ca_pem, &self.issuer.key().serialize_pem())
    }
}

/// Returns a subject with one common name.
pub fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// Returns a URI as a subject alternative name.
pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ascii"))
}

/// Returns a DNS name as a subject alternative name.
pub fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().expect("ascii"))
}

/// Dials one host and trusts one CA, as a client does.
#[derive(Debug, Clone)]
pub struct TlsDialer {
    /// The address to dial.
    pub address: SocketAddr,
    /// The name or address that the server's certificate must contain.
    pub name: String,
    /// The only trusted CA, as PEM.
    pub ca: String,
}

impl TlsDialer {
    /// Dials. With TLS 1.3, a refused client only gets the error when it reads.
    pub async fn dial(&self, identity: Option<&Identity>) -> io::Result<TlsStream<TcpStream>> {
        self.dial_offering(identity, &[]).await
    }

    /// Dials and offers these ALPN protocols.
    pub async fn dial_offering(
        &self,
        identity: Option<&Identity>,
        protocols: &[Vec<u8>],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut config = self.config(identity);
        config.alpn_protocols = protocols.to_vec();
        let name = ServerName::try_from(self.name.clone()).expect("a name");
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    fn config(&self, identity: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.ca.as_bytes()).expect("a certificate"))
            .expect("a CA");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trusting = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        match identity {
            None => trusting.with_no_client_auth(),
            Some(identity) => {
                trusting.with_client_cert_resolver(Arc::new(resolver(identity, &provider)))
            }
        }
    }
}

fn resolver(identity: &Identity, provider: &CryptoProvider) -> FixedIdentity {
    let key = provider.key_provider.load_private_key(identity.key.clone_key()).expect("a key");
    FixedIdentity(Arc::new(CertifiedKey::new(identity.chain.clone(), key)))
}
