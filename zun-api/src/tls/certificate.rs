//! The certificate of the listener. It is read again when one of its files changes.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;
use zun_common::chain;
use zun_common::file_stamp::FileStamp;

use super::{TlsError, certificates, self_check};
use crate::private_file;

/// zun-api warns repeatedly about a certificate that expires sooner than this.
const EXPIRY_WARNING: TimeDelta = TimeDelta::days(30);
/// The time between two checks whether the certificate expires.
const EXPIRY_CHECKS: TimeDelta = TimeDelta::days(1);

/// Where the certificate is.
#[derive(Debug)]
pub(super) struct CertificateFiles {
    /// The chain in PEM, the server's own certificate first.
    pub(super) certificate: PathBuf,
    /// The private key in PEM. Only its owner may read it.
    pub(super) key: PathBuf,
}

/// Gives each new connection the current certificate.
pub(super) struct ReloadingCertificate {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    self_check: Arc<CertifiedKey>,
    state: Mutex<State>,
}

struct State {
    /// The stamps at the last read, even if the content was not valid.
    seen: Stamps,
    current: Arc<CertifiedKey>,
    /// When its expiry was last checked.
    checked: DateTime<Utc>,
}

type Stamps = [Option<FileStamp>; 2];

impl ReloadingCertificate {
    /// Reads the files, which must be valid at the start.
    pub(super) fn load(
        files: CertificateFiles,
        provider: Arc<CryptoProvider>,
        self_check: Arc<CertifiedKey>,
    ) -> Result<Self, TlsError> {
        // The stamps come first: if a file is replaced before it is read, the next connection reads it again.
        let seen = files.stamps();
        let current = Arc::new(files.read(&provider)?);
        let state = Mutex::new(State { seen, current, checked: Utc::now() });
        Ok(Self { files, provider, self_check, state })
    }

    /// Returns the current certificate. If the new files are not valid, keeps the previous one and logs that once: the
    /// operator may be about to replace the second file.
    fn current(&self, now: DateTime<Utc>) -> Arc<CertifiedKey> {
        // A panic cannot leave the state half-updated, because each field is replaced as a whole.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps = self.files.stamps();
        if stamps != state.seen {
            state.seen = stamps;
            match self.files.read(&self.provider) {
                Ok(key) => {
                    tracing::info!("reloaded `{}`", self.files.certificate.display());
                    state.current = Arc::new(key);
                }
                Err(error) => tracing::warn!(
                    error = %chain(&error), "cannot reload the certificate of the API; the previous one stays in use"
                ),
            }
        }
        if now - state.checked >= EXPIRY_CHECKS {
            state.checked = now;
            if let Some(leaf) = state.current.cert.first() {
                self.files.warn_of_expiry(leaf, now);
            }
        }
        Arc::clone(&state.current)
    }
}

impl fmt::Debug for ReloadingCertificate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ReloadingCertificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ReloadingCertificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The service's own check connects regularly, so files and expiry are checked even without clients.
        let current = self.current(Utc::now());
        if hello.server_name() == Some(self_check::NAME) {
            return Some(Arc::clone(&self.self_check));
        }
        Some(current)
    }
}

impl CertificateFiles {
    fn stamps(&self) -> Stamps {
        [&self.certificate, &self.key].map(|path| FileStamp::of(path))
    }

    /// Reads both files, and checks that they belong together.
    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let chain = certificates("certificate", &self.certificate)?;
        let Some(leaf) = chain.first() else {
            return Err(TlsError::Content {
                setting: "certificate",
                path: self.certificate.clone(),
                expected: "the certificate of the server",
            });
        };
        self.warn_of_expiry(leaf, Utc::now());
        let pem = private_file::read(&self.key)
            .map_err(|cause| TlsError::Key { path: self.key.clone(), cause })?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_not_a_key| {
            TlsError::Content {
                setting: "key",
                path: self.key.clone(),
                expected: "an unencrypted private key",
            }
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(|cause| TlsError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            cause,
        })
    }

    fn warn_of_expiry(&self, leaf: &[u8], now: DateTime<Utc>) {
        let end = parse_x509_certificate(leaf).ok().and_then(|(_, leaf)| {
            DateTime::from_timestamp(leaf.validity().not_after.timestamp(), 0)
        });
        if let Some(end) = end.filter(|end| *end < now + EXPIRY_WARNING) {
            tracing::warn!(
                "`{}` expires at {}; clients refuse it after that",
                self.certificate.display(),
                end.format("%F %T UTC")
            );
        }
    }
}
