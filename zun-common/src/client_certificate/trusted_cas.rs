//! The CAs whose grants a host accepts.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

/// The largest accepted CA file, in bytes.
const MAX_FILE: u64 = 256 << 10;

/// Why a CA file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustedCasError {
    /// The file cannot be read.
    #[error("cannot read `{}`", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The file has no certificate, or something that is not a CA certificate.
    #[error("`{}` must contain one or more CA certificates in PEM and nothing else", .0.display())]
    NoCa(PathBuf),
}

/// One or more CAs.
pub struct TrustedCas(Vec<Ca>);

struct Ca {
    /// The subject name, in DER.
    subject: Vec<u8>,
    /// The public key, in DER.
    key: Vec<u8>,
}

impl TrustedCas {
    /// Reads a PEM file. The file must be regular and at most 256 KiB, so that another user who can write to it
    /// cannot block the program or exhaust its memory.
    pub fn read(file: &Path) -> Result<Self, TrustedCasError> {
        let text = read_regular_file(file)
            .map_err(|cause| TrustedCasError::Read { file: file.to_path_buf(), cause })?;
        Self::from_pem(&text).ok_or_else(|| TrustedCasError::NoCa(file.to_path_buf()))
    }

    /// Parses PEM text. `None` unless there is at least one block and every block is a CA certificate.
    pub fn from_pem(text: &[u8]) -> Option<Self> {
        let found: Option<Vec<_>> =
            Pem::iter_from_buffer(text).map(|pem| ca_from_pem(&pem.ok()?)).collect();
        found.filter(|found| !found.is_empty()).map(Self)
    }

    /// The number of CAs.
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether one of the CAs issued the certificate. The issuer name must match byte for byte, and the
    /// signature must be valid.
    pub fn issued(&self, certificate: &X509Certificate<'_>) -> bool {
        self.0
            .iter()
            .any(|ca| ca.subject == certificate.issuer().as_raw() && ca.signed(certificate))
    }
}

impl Ca {
    fn signed(&self, certificate: &X509Certificate<'_>) -> bool {
        match SubjectPublicKeyInfo::from_der(&self.key) {
            Ok((_, key)) => certificate.verify_signature(Some(&key)).is_ok(),
            Err(_) => false,
        }
    }
}

fn read_regular_file(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Vec::new();
    if file.take(MAX_FILE + 1).read_to_end(&mut text)? as u64 > MAX_FILE {
        return Err(io::Error::other(format!("it is longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}

fn ca_from_pem(pem: &Pem) -> Option<Ca> {
    if pem.label != "CERTIFICATE" {
        return None;
    }
    let (_, certificate) = parse_x509_certificate(&pem.contents).ok()?;
    certificate.is_ca().then(|| Ca {
        subject: certificate.subject().as_raw().to_vec(),
        key: certificate.public_key().raw.to_vec(),
    })
}
