//! Reads the grant in a client certificate. A certificate that differs in any way from those that zun-api signs is
//! refused.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::extensions::{ExtendedKeyUsage, GeneralName};
use x509_parser::parse_x509_certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::{ASN1Time, X509Certificate};
use zun_common::grant::Grant;

use super::refusal::Refusal;
use super::trusted_cas::TrustedCas;

/// The longest grant id, in bytes.
const MAX_ID: usize = 64;
/// The longest validity of a grant, in seconds. zun-api signs for 120 s, and backdates the start by 60 s to allow for
/// clock skew.
const MAX_VALIDITY: i64 = 180;

/// The grant in a certificate, with its id and validity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The grant's id.
    pub id: String,
    /// What it permits.
    pub grant: Grant,
    /// The first second at which it is valid, as Unix time.
    pub from: i64,
    /// The last second at which it is valid, as Unix time.
    pub until: i64,
}

impl Granted {
    /// Whether the grant is valid at `now`, a Unix time in seconds.
    pub fn is_valid_at(&self, now: i64) -> bool {
        (self.from..=self.until).contains(&now)
    }
}

/// Reads a client certificate as Docker passes it: PEM, encoded in base64. A trusted CA must have issued it. Does
/// not check whether the grant is valid now.
pub fn read(leaf: &str, cas: &TrustedCas) -> Result<Granted, Refusal> {
    let pem = STANDARD.decode(leaf).or(Err(Refusal::NotACertificate))?;
    let pem = match parse_x509_pem(&pem) {
        Ok((rest, pem)) if pem.label == "CERTIFICATE" && rest.trim_ascii().is_empty() => pem,
        Ok(_) | Err(_) => return Err(Refusal::NotACertificate),
    };
    let certificate = parse(&pem.contents)?;
    if !cas.issued(&certificate) {
        return Err(Refusal::UntrustedIssuer);
    }
    check(&certificate)
}

/// Reads the grant of a certificate in DER without checking who issued it. The result authorizes nothing.
pub fn read_unverified(der: &[u8]) -> Result<Granted, Refusal> {
    check(&parse(der)?)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Refusal> {
    match parse_x509_certificate(der) {
        Ok((&[], certificate)) => Ok(certificate),
        Ok(_) | Err(_) => Err(Refusal::NotACertificate),
    }
}

fn check(certificate: &X509Certificate<'_>) -> Result<Granted, Refusal> {
    if certificate.is_ca() || !is_for_clients_only(certificate) {
        return Err(Refusal::NotClientOnly);
    }
    let id = common_name(certificate).ok_or(Refusal::NoUsableName)?;
    let grant = uri(certificate).and_then(|uri| uri.parse().ok()).ok_or(Refusal::InvalidGrant)?;
    let seconds = |time: ASN1Time| time.timestamp();
    let validity = certificate.validity();
    let (from, until) = (seconds(validity.not_before), seconds(validity.not_after));
    if until.saturating_sub(from) > MAX_VALIDITY {
        return Err(Refusal::LifetimeTooLong);
    }
    Ok(Granted { id, grant, from, until })
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

/// The common name, if there is exactly one and it is a valid id.
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
