//! Reads the grant in a client certificate. A certificate that differs in any way from those that zun-api signs is
//! refused.

mod trusted_cas;

use x509_parser::extensions::{ExtendedKeyUsage, GeneralName};
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::{ASN1Time, X509Certificate};

pub use trusted_cas::{TrustedCas, TrustedCasError};

use crate::grant::Grant;

/// The longest grant ID, in bytes.
const MAX_ID: usize = 64;
/// The longest validity of a grant, in seconds. zun-api signs for 120 s, and backdates the start by 60 s to allow for
/// clock skew.
const MAX_VALIDITY: i64 = 180;

/// Why a client certificate is refused. The text is for logs and never sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCertificate {
    /// It is not one certificate in DER.
    #[error("cannot parse the client certificate")]
    NotACertificate,
    /// No trusted CA issued it.
    #[error("the client certificate is not issued by a trusted CA")]
    UntrustedIssuer,
    /// It is a CA, or its extended key usage is not exactly `clientAuth`.
    #[error("the certificate must be a client certificate with no other key usage")]
    NotClientOnly,
    /// The common name is not usable as a grant ID.
    #[error("the certificate has no common name that is a valid grant ID")]
    NoUsableName,
    /// It does not have exactly one grant.
    #[error("the only subject alternative name of the certificate must be a grant URI")]
    InvalidGrant,
    /// Its validity is longer than that of any certificate that zun-api signs.
    #[error("the grant is valid for longer than any grant that zun-api signs")]
    LifetimeTooLong,
}

/// The grant in a certificate, with its ID, its validity and the key of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantCertificate {
    /// The grant's ID.
    pub id: String,
    /// What it permits.
    pub grant: Grant,
    /// The first second at which it is valid, as Unix time.
    pub from: i64,
    /// The last second at which it is valid, as Unix time.
    pub until: i64,
    /// The owner's public key, in DER.
    pub key: Vec<u8>,
}

impl GrantCertificate {
    /// Reads a client certificate in DER. A trusted CA must have issued it. Does not check whether the grant is valid
    /// now.
    pub fn read(der: &[u8], cas: &TrustedCas) -> Result<Self, InvalidCertificate> {
        let Ok((&[], certificate)) = parse_x509_certificate(der) else {
            return Err(InvalidCertificate::NotACertificate);
        };
        if !cas.issued(&certificate) {
            return Err(InvalidCertificate::UntrustedIssuer);
        }
        check(&certificate)
    }

    /// Reads the grant of a certificate in DER without checking who issued it. The result authorizes nothing.
    pub fn read_unverified(der: &[u8]) -> Result<Self, InvalidCertificate> {
        match parse_x509_certificate(der) {
            Ok((&[], certificate)) => check(&certificate),
            Ok(_) | Err(_) => Err(InvalidCertificate::NotACertificate),
        }
    }

    /// Whether the grant is valid at `now`, a Unix time in seconds.
    pub fn is_valid_at(&self, now: i64) -> bool {
        (self.from..=self.until).contains(&now)
    }
}

fn check(certificate: &X509Certificate<'_>) -> Result<GrantCertificate, InvalidCertificate> {
    if certificate.is_ca() || !is_for_clients_only(certificate) {
        return Err(InvalidCertificate::NotClientOnly);
    }
    let id = common_name(certificate).ok_or(InvalidCertificate::NoUsableName)?;
    let grant = uri(certificate)
        .and_then(|uri| uri.parse().ok())
        .ok_or(InvalidCertificate::InvalidGrant)?;
    let seconds = |time: ASN1Time| time.timestamp();
    let validity = certificate.validity();
    let (from, until) = (seconds(validity.not_before), seconds(validity.not_after));
    if until.saturating_sub(from) > MAX_VALIDITY {
        return Err(InvalidCertificate::LifetimeTooLong);
    }
    Ok(GrantCertificate { id, grant, from, until, key: certificate.public_key().raw.to_vec() })
}

fn is_for_clients_only(certificate: &X509Certificate<'_>) -> bool {
    let Ok(Some(usage)) = certificate.extended_key_usage() else { return false };
    let ExtendedKeyUsage {
        any,
        server_auth,
        client_auth,
        code_signing,
        email_protection,
        time_stamping,
        ocsp_signing,
        other,
    } = usage.value;
    let others = [any, server_auth, code_signing, email_protection, time_stamping, ocsp_signing];
    *client_auth && !others.into_iter().any(|other| *other) && other.is_empty()
}

/// The common name, if there is exactly one and it is a valid ID.
fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let mut names = certificate.subject().iter_common_name();
    let (name, None) = (names.next()?, names.next()) else { return None };
    let id = name.as_str().ok()?;
    let good = (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    good.then(|| id.to_owned())
}

/// The subject alternative name, if there is exactly one and it is a URI.
fn uri<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a str> {
    let names = certificate.subject_alternative_name().ok()??;
    match names.value.general_names.as_slice() {
        [GeneralName::URI(uri)] => Some(uri),
        _ => None,
    }
}
