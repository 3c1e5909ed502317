//! TLS of the API's listener.
//!
//! The certificate and its key are read again when their files change. New connections get the new certificate, and open
//! ones continue. With `http.client_ca`, a client must present a certificate of that CA.

mod certificate;
mod self_check;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig, WantsVerifier};

use crate::private_file::PrivateFileError;
use crate::settings::HttpSettings;
use certificate::{CertificateFiles, ReloadingCertificate};
use self_check::SelfCheck;
pub(crate) use self_check::server_name;

/// Settings of the listener that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A setting that another one needs.
    #[error("http.{missing} is missing: http.{given} needs it")]
    Missing {
        /// The missing setting.
        missing: &'static str,
        /// The setting that needs it.
        given: &'static str,
    },
    /// Tokens would travel in plain text.
    #[error(
        "http.listen {0} is not a loopback address, and plain HTTP lets anyone on the network path read tokens; set \
         http.certificate and http.key, or set http.insecure = true if only a TLS proxy can reach this address"
    )]
    PlainHttp(SocketAddr),
    /// A file cannot be read.
    #[error("cannot read http.{setting} `{}`", .path.display())]
    Unreadable {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The key cannot be used.
    #[error("cannot use http.key `{}`", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: PrivateFileError,
    },
    /// A file does not have the expected content.
    #[error("http.{setting} `{}` is not valid: it must contain {expected} in PEM", .path.display())]
    Content {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What it must contain.
        expected: &'static str,
    },
    /// The certificate and the key do not belong together, or the key is of an unknown kind.
    #[error("cannot use http.certificate `{}` with http.key `{}`", .certificate.display(), .key.display())]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// The cause.
        #[source]
        cause: rustls::Error,
    },
    /// A certificate of the client CA is not acceptable.
    #[error("cannot use http.client_ca `{}`", .path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: VerifierBuilderError,
    },
    /// The certificate for the service's own health check cannot be created.
    #[error("cannot create the certificate for the health check")]
    SelfCheck(#[from] rcgen::Error),
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Setup(#[from] rustls::Error),
}

/// TLS of the listener.
pub(crate) struct Tls {
    /// For the listener.
    pub(crate) server: ServerConfig,
    /// For the service's own health check, which dials the listener.
    pub(crate) self_check: Arc<ClientConfig>,
}

impl Tls {
    /// Reads the files that the settings name. Returns `None` if the listener speaks plain HTTP.
    pub(crate) fn new(settings: &HttpSettings) -> Result<Option<Self>, TlsError> {
        let HttpSettings { listen, insecure, certificate, key, client_ca, .. } = settings;
        let missing = |missing, given| Err(TlsError::Missing { missing, given });
        let files = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                CertificateFiles { certificate: certificate.clone(), key: key.clone() }
            }
            (Some(_), None) => return missing("key", "certificate"),
            (None, Some(_)) => return missing("certificate", "key"),
            (None, None) if client_ca.is_some() => return missing("certificate", "client_ca"),
            (None, None) if listen.ip().is_loopback() || *insecure => return Ok(None),
            (None, None) => return Err(TlsError::PlainHttp(*listen)),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let check = SelfCheck::new(&provider)?;
        let builder = builder(&provider)?;
        let authenticated = match client_ca {
            Some(path) => builder.with_client_cert_verifier(verifier(path, &check, &provider)?),
            None => builder.with_no_client_auth(),
        };
        let certificate = ReloadingCertificate::load(files, provider, check.server)?;
        let server = authenticated.with_cert_resolver(Arc::new(certificate));
        Ok(Some(Self { server, self_check: check.client }))
    }
}

fn builder(
    provider: &Arc<CryptoProvider>,
) -> Result<ConfigBuilder<ServerConfig, WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_provider(Arc::clone(provider)).with_safe_default_protocol_versions()
}

/// Requires a certificate of the client CA. The health check has one too: it must work without the key of a client.
fn verifier(
    path: &Path,
    check: &SelfCheck,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let invalid = || TlsError::Content {
        setting: "client_ca",
        path: path.to_owned(),
        expected: "CA certificates",
    };
    let mut roots = RootCertStore::empty();
    for ca in certificates("client_ca", path)? {
        roots.add(ca).map_err(|_not_a_ca| invalid())?;
    }
    if roots.is_empty() {
        return Err(invalid());
    }
    roots.add(check.ca.clone())?;
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .map_err(|cause| TlsError::ClientCa { path: path.to_owned(), cause })
}

/// Reads a file of certificates in PEM.
fn certificates(
    setting: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = std::fs::read(path).map_err(|cause| TlsError::Unreadable {
        setting,
        path: path.to_owned(),
        cause,
    })?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    all.map_err(|_not_pem| TlsError::Content {
        setting,
        path: path.to_owned(),
        expected: "certificates",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_unless_the_settings_permit_it() {
        let mut settings = HttpSettings::default();
        assert!(matches!(Tls::new(&settings), Ok(None)));
        settings.listen = "192.0.2.7:9517".parse().expect("an address");
        let refusal = Tls::new(&settings).err().expect("a refusal").to_string();
        assert!(refusal.contains("192.0.2.7:9517 is not a loopback address"), "{refusal}");
        settings.insecure = true;
        assert!(matches!(Tls::new(&settings), Ok(None)));
    }
}
