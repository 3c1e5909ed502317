//! The host's server certificate: its key is made here and stays here, zun-api signs the request.

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

/// A certificate that expires sooner is replaced.
const MIN_LIFETIME: TimeDelta = TimeDelta::days(30);

/// What certificate is wanted, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSettings {
    /// Made if it is not there. Only the key in it is for its owner alone.
    pub directory: PathBuf,
    /// The host; stands in the certificate too.
    pub host: HostName,
    /// DNS names and IP addresses that the host is dialled by.
    pub names: Vec<String>,
}

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The authority: what the host trusts in clients.
    pub ca: PathBuf,
    /// The host's certificate: a link to the file of the key.
    pub certificate: PathBuf,
    /// Its private key, behind the certificate.
    pub key: PathBuf,
}

/// What there was to take from zun-api.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing.
    Unchanged,
    /// Another list of authorities.
    CaList,
    /// A certificate, with its list of authorities.
    Certificate,
    /// It did not say; what is here is good without it.
    Unknown,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No key or request could be made.
    #[error("cannot make a certificate request for host {host}")]
    Request {
        /// The host.
        host: HostName,
        /// Why.
        #[source]
        cause: PkiError,
    },
    /// zun-api did not sign it.
    #[error("zun-api did not sign a certificate for host {host}")]
    Unsigned {
        /// The host.
        host: HostName,
        /// Why.
        #[source]
        cause: CallError,
    },
    /// What zun-api answered is not what was asked for.
    #[error("the certificate that zun-api signed for host {host} is not good: {flaw}")]
    Bad {
        /// The host.
        host: HostName,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A file could not be written.
    #[error("cannot write {path}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A file is missing or cannot be read.
    #[error("{0} cannot be read")]
    Unreadable(&'static str),
    /// The key may be read by others.
    #[error("its key may be read by others")]
    KeyReadableByOthers,
    /// It is for another key.
    #[error("it is for another key")]
    OtherKey,
    /// Another authority signed it.
    #[error("another authority signed it")]
    OtherCa,
    /// It is not good for a name.
    #[error("it is not good for `{0}`")]
    OtherName(String),
    /// It is over, or not begun.
    #[error("it is not good now")]
    NotValidNow,
    /// It is good, but not for long.
    #[error("it is not good for 30 more days")]
    Expiring,
}

impl Flaw {
    /// Whether the certificate does its part until the engine's next restart, whenever that is planned.
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

/// What is wrong with the certificate that is there, if anything is.
pub(crate) fn flaw(settings: &CertificateSettings) -> Option<Flaw> {
    let files = CertificateFiles::within(&settings.directory);
    files::read(&files).and_then(|texts| check(&texts, &names(settings))).err()
}

/// Makes sure that a good certificate is there: one that is good is kept, any other is replaced. During a rotation
/// the authorities change too, and a certificate of one that signs no more is replaced. The engine takes what
/// is new at its next restart.
pub async fn ensure(
    bus: &Bus,
    settings: &CertificateSettings,
) -> Result<CertificateFiles, CertificateError> {
    renew(bus, settings).await?;
    Ok(CertificateFiles::within(&settings.directory))
}

/// As [`ensure`], and says what was new.
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
            Ok(news) => return Ok(news),
            Err(flaw) => flaw,
        },
        Err(flaw) => flaw,
    };
    tracing::info!(host.name = %host, %flaw, "asking zun-api for this host's certificate");
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

/// Takes the authorities that zun-api trusts now, where they are others than those that are here and the good
/// certificate is good with them too; else says what is wrong with it. Who does not answer changes nothing.
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
            tracing::debug!(host.name = %host, error = %chain(&error), "the authorities stay as they are");
            return Ok(Ok(Renewal::Unknown));
        }
    };
    if let Err(flaw) = check(&now, &names(settings)) {
        return Ok(Err(flaw));
    }
    files::write_ca_list(&CertificateFiles::within(&settings.directory).ca, &now.ca)?;
    log_update(host, "list of authorities");
    Ok(Ok(Renewal::CaList))
}

fn log_update(host: &HostName, what: &str) {
    tracing::info!(host.name = %host, "a new {what} is here; the engine takes it at its next restart");
}

/// What the certificate is for: the host's own name first, each name once.
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
        (pem(&texts.ca, "the authority")?, pem(&texts.certificate, "the certificate")?);
    let ca = parse(&ca, "the authority")?;
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
    // Last: any other flaw is one that cannot wait.
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
