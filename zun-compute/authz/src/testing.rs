//! A CA for the tests, and requests as Docker sends them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType,
};
use time::OffsetDateTime;

use crate::decision::Policy;
use crate::request::{AuthzRequest, ContentType, PeerCertificates};
use zun_common::client_certificate::GrantCertificate;
use zun_common::client_certificate::TrustedCas;

/// The time in all tests, as Unix time in seconds.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const HOST: &str = "compute1";

pub(crate) fn container() -> String {
    "ab".repeat(32)
}

pub(crate) fn grant() -> String {
    format!("zun://{HOST}/containers/{}/attach?mode=rw", container())
}

pub(crate) fn wait_uri() -> String {
    format!("/v1.41/containers/{}/wait?condition=next-exit", container())
}

/// A CA with its key.
pub(crate) struct Signer {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
}

/// A signed certificate.
pub(crate) struct Leaf {
    pub(crate) pem: String,
    pub(crate) der: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = params.self_signed(&key).expect("signed").pem();
        Self { issuer: Issuer::new(params, key), ca_pem }
    }

    pub(crate) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            host: HOST.parse().expect("a host"),
            version: "1.41".parse().expect("a version"),
            cas: TrustedCas::from_pem(self.ca_pem.as_bytes()).expect("one"),
        }
    }

    /// Signs a valid grant after `change` has modified it.
    pub(crate) fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let key = KeyPair::generate().expect("a key");
        let mut params = good();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        Leaf { pem: certificate.pem(), der: certificate.der().to_vec() }
    }

    /// A request with a valid grant that `change` has modified.
    pub(crate) fn request(&self, change: impl FnOnce(&mut CertificateParams)) -> AuthzRequest {
        request(&self.leaf(change).pem)
    }
}

fn good() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = moment(NOW - 60);
    params.not_after = moment(NOW + 120);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "g1");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![uri(&grant())];
    params
}

pub(crate) fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds).expect("a time")
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("ascii"))
}

/// A request over TLS with this certificate, for a call that the usual grant permits.
pub(crate) fn request(pem: &str) -> AuthzRequest {
    AuthzRequest {
        user: "g1".to_owned(),
        auth_method: "TLS".to_owned(),
        method: "POST".to_owned(),
        uri: wait_uri(),
        content_type: ContentType::Absent,
        certificates: PeerCertificates { leaf: Some(STANDARD.encode(pem)) },
    }
}

pub(crate) fn local() -> AuthzRequest {
    AuthzRequest { method: "GET".to_owned(), uri: "/_ping".to_owned(), ..AuthzRequest::default() }
}

pub(crate) fn usual() -> GrantCertificate {
    let grant = grant().parse().expect("a grant");
    GrantCertificate {
        id: "g1".to_owned(),
        grant,
        from: NOW - 60,
        until: NOW + 120,
        key: Vec::new(),
    }
}
