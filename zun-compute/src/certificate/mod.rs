//! Manages the host's server certificate. The key is created here and never leaves the host; zun-api signs the request.

mod files;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chrono::{TimeDelta, Utc};
use rcgen::{KeyPair, PublicKeyData};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use zun_common::bus::{Bus, CallError};
use zun_common::chain;
use zun_common::id::HostName;
use zun_common::pki::{PkiError, signing_request};
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::host::{CaBundle, GetCaBundle, HostCertificate, SignHostCertificate};

use files::PemTexts;

/// A certificate that expires sooner than this is replaced.
const MIN_LIFETIME: TimeDelta = TimeDelta::days(30);

/// The names in the host's certificate, and the directory to store it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSettings {
    /// The directory of the files; it is created if missing. Only the key file is private.
    pub directory: PathBuf,
    /// The host's name. The certificate names it too.
    pub host: HostName,
    /// The other DNS names and IP addresses at which clients dial the host.
    pub names: Vec<String>,
}

/// The paths of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificates of the CAs that sign client certificates.
    pub ca: PathBuf,
    /// The host's certificate: a link to the key file.
    pub certificate: PathBuf,
    /// The private key, after the certificate in the same file.
    pub key: PathBuf,
}

/// What a renewal changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing changed.
    Unchanged,
    /// The CA list.
    CaList,
    /// The certificate and the CA list.
    Certificate,
    /// Nothing changed, because zun-api did not answer. The certificate is valid.
    Unknown,
}

/// Why the certificate cannot be renewed.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The key or the request cannot be created.
    #[error("cannot create a certificate request for host {host}")]
    Request {
        /// The host.
        host: HostName,
        /// The cause.
        #[source]
        cause: PkiError,
    },
    /// zun-api did not sign the request.
    #[error("zun-api did not sign a certificate for host {host}")]
    Unsigned {
        /// The host.
        host: HostName,
        /// The cause.
        #[source]
        cause: CallError,
    },
    /// zun-api signed a certificate that cannot be used.
    #[error("the certificate that zun-api signed for host {host} cannot be used: {flaw}")]
    Bad {
        /// The host.
        host: HostName,
        /// What is wrong with the certificate.
        flaw: Flaw,
    },
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

/// What is wrong with the host's certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A file is missing or cannot be read.
    #[error("{0} is missing or cannot be read")]
    Unreadable(&'static str),
    /// Other users can read the key.
    #[error("other users can read its key")]
    KeyReadableByOthers,
    /// The certificate does not match the key.
    #[error("it does not match the key")]
    OtherKey,
    /// Another CA signed the certificate.
    #[error("it is signed by another CA")]
    OtherCa,
    /// A name or address is missing in the certificate.
    #[error("it does not name `{0}`")]
    OtherName(String),
    /// The certificate has expired or is not valid yet.
    #[error("it has expired or is not valid yet")]
    NotValidNow,
    /// The certificate is valid, but expires soon.
    #[error("it expires within 30 days")]
    Expiring,
}

impl Flaw {
    /// Whether the certificate still works, so that the new one can wait until Docker's next restart.
    pub(crate) const fn can_wait(&self) -> bool {
        matches!(self, Self::Expiring)
    }
}

impl CertificateFiles {
    /// The files in a directory.
    pub(crate) fn within(directory: &Path) -> Self {
        Self {
            ca: directory.join("ca.pem"),
            certificate: directory.join("cert.pem"),
            key: directory.join("key.pem"),
        }
    }
}

/// Checks the stored certificate. `None` if it is valid.
pub(crate) fn flaw(settings: &CertificateSettings) -> Option<Flaw> {
    let files = CertificateFiles::within(&settings.directory);
    files::read(&files).and_then(|texts| check(&texts, &names(settings))).err()
}

/// Ensures that the host has a valid certificate and the current CA list.
///
/// Keeps a valid certificate and requests a new one otherwise. During a CA rotation it also updates the CA list, and
/// replaces a certificate of a CA that no longer signs. Docker loads new files at its next restart.
pub async fn ensure(
    bus: &Bus,
    settings: &CertificateSettings,
) -> Result<CertificateFiles, CertificateError> {
    renew(bus, settings).await?;
    Ok(CertificateFiles::within(&settings.directory))
}

/// Does the same as [`ensure`], but returns the change.
pub(crate) async fn renew(
    bus: &Bus,
    settings: &CertificateSettings,
) -> Result<Renewal, CertificateError> {
    let names = names(settings);
    let host = &settings.host;
    let found = files::read(&CertificateFiles::within(&settings.directory))
        .and_then(|texts| check(&texts, &names).map(|()| texts));
    let flaw = match found {
        Ok(texts) => match update_ca_list(bus, settings, texts).await? {
            Ok(renewal) => return Ok(renewal),
            Err(flaw) => flaw,
        },
        Err(flaw) => flaw,
    };
    tracing::info!(host.name = %host, %flaw, "requesting a certificate for this host from zun-api");
    let request = signing_request(host.as_str(), names.clone())
        .map_err(|cause| CertificateError::Request { host: host.clone(), cause })?;
    let question = SignHostCertificate { host: host.clone(), csr: request.csr };
    let signed = bus
        .with_sender(host.as_str())
        .call_controller(&question, &CallContext::internal())
        .await
        .map_err(|cause| CertificateError::Unsigned { host: host.clone(), cause })?;
    let HostCertificate { certificate, ca } = signed;
    let texts = PemTexts { ca, certificate, key: request.key.expose().clone() };
    check(&texts, &names).map_err(|flaw| CertificateError::Bad { host: host.clone(), flaw })?;
    files::write(&settings.directory, &texts)?;
    log_update(host, "certificate");
    Ok(Renewal::Certificate)
}

/// Updates the CA list if zun-api has another one. Returns a flaw if the certificate is not valid with the new list. If
/// zun-api does not answer, nothing changes.
async fn update_ca_list(
    bus: &Bus,
    settings: &CertificateSettings,
    texts: PemTexts,
) -> Result<Result<Renewal, Flaw>, CertificateError> {
    let host = &settings.host;
    let question = GetCaBundle { host: host.clone() };
    let asked =
        bus.with_sender(host.as_str()).call_controller(&question, &CallContext::internal()).await;
    let now = match asked {
        Ok(CaBundle { ca }) if ca != texts.ca => PemTexts { ca, ..texts },
        Ok(_) => return Ok(Ok(Renewal::Unchanged)),
        Err(error) => {
            tracing::debug!(
                host.name = %host,
                error = %chain(&error),
                "cannot ask zun-api for the CA list; keeping the current one"
            );
            return Ok(Ok(Renewal::Unknown));
        }
    };
    if let Err(flaw) = check(&now, &names(settings)) {
        return Ok(Err(flaw));
    }
    files::write_ca_list(&CertificateFiles::within(&settings.directory).ca, &now.ca)?;
    log_update(host, "CA list");
    Ok(Ok(Renewal::CaList))
}

fn log_update(host: &HostName, what: &str) {
    tracing::info!(host.name = %host, "installed a new {what}; Docker uses it after its next restart");
}

/// The names in the certificate: the host's own name first, each name once.
pub(crate) fn names(settings: &CertificateSettings) -> Vec<String> {
    let mut names = vec![settings.host.as_str().to_owned()];
    for name in &settings.names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn check(texts: &PemTexts, names: &[String]) -> Result<(), Flaw> {
    let (ca, certificate) =
        (pem(&texts.ca, "the CA certificate")?, pem(&texts.certificate, "the certificate")?);
    let ca = parse(&ca, "the CA certificate")?;
    let certificate = parse(&certificate, "the certificate")?;
    let Ok(key) = KeyPair::from_pem(&texts.key) else { return Err(Flaw::Unreadable("the key")) };
    if certificate.public_key().raw != key.subject_public_key_info().as_slice() {
        return Err(Flaw::OtherKey);
    }
    if certificate.verify_signature(Some(ca.public_key())).is_err() {
        return Err(Flaw::OtherCa);
    }
    let (now, validity) = (Utc::now(), certificate.validity());
    let (begin, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if begin > now.timestamp() || end < now.timestamp() {
        return Err(Flaw::NotValidNow);
    }
    let covered = covered(&certificate);
    if let Some(name) = names.iter().find(|name| !covered.contains(name)) {
        return Err(Flaw::OtherName(name.clone()));
    }
    // This check is last: every other flaw needs a new certificate now.
    if end < (now + MIN_LIFETIME).timestamp() { Err(Flaw::Expiring) } else { Ok(()) }
}

fn pem(text: &str, what: &'static str) -> Result<Pem, Flaw> {
    Pem::iter_from_buffer(text.as_bytes()).next().and_then(Result::ok).ok_or(Flaw::Unreadable(what))
}

fn parse<'a>(pem: &'a Pem, what: &'static str) -> Result<X509Certificate<'a>, Flaw> {
    match pem.parse_x509() {
        Ok(certificate) => Ok(certificate),
        Err(_not_one) => Err(Flaw::Unreadable(what)),
    }
}

fn covered(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    names.value.general_names.iter().filter_map(covered_name).collect()
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a host is dialled by names and addresses alone"
)]
fn covered_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
