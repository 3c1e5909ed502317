//! Client certificates, good ones and every bad kind, and what an engine's TLS listener does with them.

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
use zun_api::ca::{Authority, GRANT_SECONDS};
use zun_common::grant::Grant;
use zun_common::pki::signing_request;

/// What a client shows: its chain, leaf first, and the key that it signs with.
#[derive(Debug, Clone)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

impl Identity {
    /// From PEM, as a client holds it.
    pub fn from_pem(chain: &str, key: &str) -> Self {
        let chain = CertificateDer::pem_slice_iter(chain.as_bytes())
            .collect::<Result<_, _>>()
            .expect("certificates in PEM");
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key in PEM");
        Self { chain, key: Arc::new(key) }
    }

    /// A grant as a client gets it: own key, signed by zun-api.
    pub fn granted(authority: &Authority, grant: &Grant, id: &str, now: DateTime<Utc>) -> Self {
        let request = signing_request("client", Vec::new()).expect("a request");
        let issued = authority.grant(&request.csr, grant, id, now).expect("a grant");
        Self::from_pem(&issued.certificate, request.key.expose())
    }

    /// The certificate itself, PEM.
    pub fn leaf_pem(&self) -> String {
        let leaf = self.chain.first().expect("a certificate");
        let lines = STANDARD.encode(leaf);
        format!("-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n")
    }

    /// The same certificate in the hands of one who has another key.
    #[must_use]
    pub fn stolen(&self) -> Self {
        let own = KeyPair::generate().expect("a key");
        let key = PrivateKeyDer::from_pem_slice(own.serialize_pem().as_bytes()).expect("a key");
        Self { chain: self.chain.clone(), key: Arc::new(key) }
    }

    /// Its holder in the place of an authority.
    pub fn as_authority(&self) -> Forge {
        let key = KeyPair::try_from(self.key.secret_der()).expect("a key");
        let leaf = self.chain.first().expect("a certificate");
        let ca_pem = String::new();
        Forge { issuer: Issuer::from_ca_cert_der(leaf, key).expect("an issuer"), ca_pem }
    }

    /// What a server that shows it is made of.
    pub fn server(&self) -> rustls::ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .expect("a certificate and its key")
    }

    /// With more certificates behind the leaf.
    #[must_use]
    pub fn followed_by(mut self, other: &Self) -> Self {
        self.chain.extend(other.chain.iter().cloned());
        self
    }

    /// With another identity's certificates before its own, but its own key.
    #[must_use]
    pub fn behind(mut self, other: &Self) -> Self {
        self.chain.splice(0..0, other.chain.iter().cloned());
        self
    }
}

/// Shows an identity without a look at whether key and certificate belong together.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
    fn has_certs(&self) -> bool {
        true
    }
}

/// A key of an authority in the wrong hands: signs whatever it is told.
pub struct Forge {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
}

impl Forge {
    /// With the key of a real authority.
    pub fn of(directory: &Path) -> Self {
        let read =
            |name| std::fs::read_to_string(directory.join(name)).expect("an authority's file");
        let ca_pem = read(zun_api::ca::CERTIFICATE_FILE);
        let key = KeyPair::from_pem(&read(zun_api::ca::KEY_FILE)).expect("a key");
        Self { issuer: Issuer::from_ca_cert_pem(&ca_pem, key).expect("an authority"), ca_pem }
    }

    /// Another authority of this name.
    pub fn named(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), ca_pem }
    }

    /// An authority that says of itself just what ours says, with a key of its own.
    #[must_use]
    pub fn double_of(&self) -> Self {
        let key = KeyPair::generate().expect("a key");
        let issuer = Issuer::from_ca_cert_pem(&self.ca_pem, key).expect("an authority");
        Self { issuer, ca_pem: self.ca_pem.clone() }
    }

    /// Its certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// A grant like zun-api's, as good as now, changed.
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
        (params.not_before, params.not_after) = (moment(-60), moment(GRANT_SECONDS));
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Identity::from_pem(&certificate.pem(), &key.serialize_pem())
    }

    /// The authority itself as a client.
    pub fn itself(&self) -> Identity {
        Identity::from_pem(&self.ca_pem, &self.issuer.key().serialize_pem())
    }
}

/// A subject with one common name.
pub fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// A URI as an alternative name.
pub fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ascii"))
}

/// A DNS name as an alternative name.
pub fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().expect("ascii"))
}

/// Trusts one authority for one host, as a client does.
#[derive(Debug, Clone)]
pub struct Dialler {
    /// Where to.
    pub address: SocketAddr,
    /// The name or address that the server's certificate must have.
    pub name: String,
    /// The only trusted authority, PEM.
    pub ca: String,
}

impl Dialler {
    /// Dials. Under TLS 1.3 a refused client learns of it only when it reads.
    pub async fn dial(&self, identity: Option<&Identity>) -> io::Result<TlsStream<TcpStream>> {
        self.dial_offering(identity, &[]).await
    }

    /// Dials and offers these protocols (ALPN).
    pub async fn dial_offering(
        &self,
        identity: Option<&Identity>,
        protocols: &[Vec<u8>],
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut config = self.config(identity);
        config.alpn_protocols = protocols.to_vec();
        let name = ServerName::try_from(self.name.clone()).expect("a name");
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    fn config(&self, identity: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.ca.as_bytes()).expect("a certificate"))
            .expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trusting = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        match identity {
            None => trusting.with_no_client_auth(),
            Some(identity) => {
                trusting.with_client_cert_resolver(Arc::new(shown(identity, &provider)))
            }
        }
    }
}

fn shown(identity: &Identity, provider: &CryptoProvider) -> Shown {
    let key = provider.key_provider.load_private_key(identity.key.clone_key()).expect("a key");
    Shown(Arc::new(CertifiedKey::new(identity.chain.clone(), key)))
}
