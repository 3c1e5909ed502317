//! The contents of each kind of certificate.

use chrono::{DateTime, Duration, Utc};
use rand::RngExt;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use time::OffsetDateTime;
use zun_common::grant::Grant;
use zun_common::id::HostName;
use zun_common::secret::Secret;

use super::CaError;

/// Validity of a grant, in seconds. Open sessions continue afterwards.
pub const GRANT_LIFETIME_SECONDS: i64 = 120;
/// Certificates are valid from this many seconds before they are signed, because clocks differ.
const BACKDATE_SECONDS: i64 = 60;
const HOST_DAYS: i64 = 365;
/// The longest that all clients accept.
const API_DAYS: i64 = 825;
const CA_DAYS: i64 = 3650;
/// Maximum length of a common name in X.509.
const MAX_COMMON_NAME: usize = 64;

/// The certificate and key of a new CA, in PEM.
pub(super) struct NewCa {
    pub(super) certificate: String,
    pub(super) key: Secret<String>,
}

/// Creates a self-signed CA.
pub(super) fn new_ca(now: DateTime<Utc>) -> Result<NewCa, CaError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(CaError::Sign)?;
    // During a rotation two CAs exist, so their names must differ.
    let mark: u32 = rand::rng().random();
    let subject = format!("Zun console CA {mark:08x}");
    let mut params = base(&subject, (now, now + Duration::days(CA_DAYS)))?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = false;
    let certificate = params.self_signed(&key).map_err(CaError::Sign)?;
    Ok(NewCa { certificate: certificate.pem(), key: Secret::new(key.serialize_pem()) })
}

/// Returns the contents of a grant's certificate, and its expiry time.
pub(super) fn grant(
    grant: &Grant,
    grant_id: &str,
    now: DateTime<Utc>,
) -> Result<(CertificateParams, DateTime<Utc>), CaError> {
    if !is_common_name(grant_id) {
        return Err(CaError::GrantId(grant_id.chars().take(80).collect()));
    }
    // Certificates store whole seconds, so the expiry time for the client is in whole seconds, too.
    let seconds = now.timestamp() + GRANT_LIFETIME_SECONDS;
    let expires_at = DateTime::from_timestamp(seconds, 0).ok_or(CaError::Time(seconds))?;
    let mut params = base(grant_id, (now, expires_at))?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let uri = grant.to_string().as_str().try_into().map_err(CaError::Sign)?;
    params.subject_alt_names = vec![SanType::URI(uri)];
    Ok((params, expires_at))
}

/// Returns the contents of a host's server certificate. It expires with the CA at the latest.
pub(super) fn host(
    host: &HostName,
    names: Vec<SanType>,
    (now, ca_end): (DateTime<Utc>, DateTime<Utc>),
) -> Result<CertificateParams, CaError> {
    let end = ca_end.min(now + Duration::days(HOST_DAYS));
    // Longer names are only in the subject alternative names.
    let subject = if is_common_name(host.as_str()) { host.as_str() } else { "host" };
    server(subject, names, (now, end))
}

/// Returns the contents of the API's server certificate. It expires with the CA at the latest.
pub(super) fn api(
    names: Vec<SanType>,
    (now, ca_end): (DateTime<Utc>, DateTime<Utc>),
) -> Result<CertificateParams, CaError> {
    server("zun-api", names, (now, ca_end.min(now + Duration::days(API_DAYS))))
}

fn server(
    subject: &str,
    names: Vec<SanType>,
    times: (DateTime<Utc>, DateTime<Utc>),
) -> Result<CertificateParams, CaError> {
    let mut params = base(subject, times)?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = names;
    Ok(params)
}

fn is_common_name(text: &str) -> bool {
    (1..=MAX_COMMON_NAME).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn base(
    subject: &str,
    (now, end): (DateTime<Utc>, DateTime<Utc>),
) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.not_before = time(now.timestamp() - BACKDATE_SECONDS)?;
    params.not_after = time(end.timestamp())?;
    params.serial_number = Some(serial());
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn time(seconds: i64) -> Result<OffsetDateTime, CaError> {
    OffsetDateTime::from_unix_timestamp(seconds).or(Err(CaError::Time(seconds)))
}

/// Returns a random, positive, non-zero serial number.
fn serial() -> SerialNumber {
    let mut bytes: [u8; 16] = rand::rng().random();
    bytes[0] = bytes[0] & 0x7f | 0x40;
    SerialNumber::from_slice(&bytes)
}
