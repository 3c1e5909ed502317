//! Reads and writes the files of the CA.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use chrono::{DateTime, Utc};
use rcgen::{Issuer, KeyPair, PublicKeyData};
use x509_parser::parse_x509_certificate;
use x509_parser::pem::Pem;
use zun_common::atomic_file::{self, Attributes};

use super::issue::NewCa;
use super::{CERTIFICATE_FILE, CaError, KEY_FILE};

/// The content of the files.
pub(super) struct Loaded {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) certificates: String,
    pub(super) expires_at: DateTime<Utc>,
}

/// Writes both files, or neither.
pub(super) fn write(directory: &Path, new: &NewCa) -> Result<(), CaError> {
    require_owner(directory)?;
    let key = directory.join(KEY_FILE);
    let certificate = directory.join(CERTIFICATE_FILE);
    create_directory(directory)?;
    if certificate.exists() {
        return Err(CaError::Exists(certificate));
    }
    create(&key, 0o600, new.key.expose())?;
    create(&certificate, 0o644, &new.certificate).inspect_err(|_| {
        // A key without a certificate is useless and would block the next attempt.
        drop(fs::remove_file(&key));
    })
}

/// Creates a directory that everybody may read, if there is none.
pub(super) fn create_directory(directory: &Path) -> Result<(), CaError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)
        .map_err(|cause| CaError::Write { file: directory.to_path_buf(), cause })
}

fn create(file: &Path, mode: u32, text: &str) -> Result<(), CaError> {
    let written = || {
        let mut open = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        open.write_all(text.as_bytes())?;
        open.sync_all()
    };
    written().map_err(|cause| {
        let file = file.to_path_buf();
        if cause.kind() == ErrorKind::AlreadyExists {
            CaError::Exists(file)
        } else {
            CaError::Write { file, cause }
        }
    })
}

/// Returns an error if the files belong to another user: zun-api could not read files written by root.
pub(super) fn require_owner(directory: &Path) -> Result<(), CaError> {
    let owner = match fs::metadata(directory) {
        Ok(about) => about.uid(),
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(CaError::Read { file: directory.to_path_buf(), cause }),
    };
    let own = rustix::process::geteuid().as_raw();
    if own == owner {
        return Ok(());
    }
    Err(CaError::NotOwner { directory: directory.to_path_buf(), owner, own })
}

/// Replaces a file atomically.
pub(super) fn replace(file: &Path, text: &str, attributes: Attributes) -> Result<(), CaError> {
    atomic_file::replace(file, text.as_bytes(), attributes)
        .map_err(|cause| CaError::Write { file: file.to_path_buf(), cause })
}

/// Returns the public key of a key file, in DER.
pub(super) fn public_key(file: &Path) -> Result<Vec<u8>, CaError> {
    Ok(read_key(file)?.subject_public_key_info())
}

/// Reads both files. The certificate in `ca.pem` that matches the key is the signing one.
pub(super) fn read(directory: &Path) -> Result<Loaded, CaError> {
    let key_file = directory.join(KEY_FILE);
    let certificate_file = directory.join(CERTIFICATE_FILE);
    let key = read_key(&key_file)?;
    let certificates = fs::read_to_string(&certificate_file)
        .map_err(|cause| CaError::Read { file: certificate_file.clone(), cause })?;
    let unusable = |why| CaError::InvalidFile { file: certificate_file.clone(), why };
    let (der, expires_at) = matching(&certificates, &key).map_err(&unusable)?;
    let issuer = Issuer::from_ca_cert_der(&der.as_slice().into(), key)
        .or(Err(unusable("its certificate is not a CA certificate")))?;
    Ok(Loaded { issuer, certificates, expires_at })
}

fn read_key(file: &Path) -> Result<KeyPair, CaError> {
    let unread = |cause| CaError::Read { file: file.to_path_buf(), cause };
    let mode = fs::metadata(file).map_err(unread)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CaError::InsecureMode { file: file.to_path_buf(), mode });
    }
    let text = fs::read_to_string(file).map_err(unread)?;
    let why = "it must be a P-256 private key in PEM (PKCS#8)";
    match KeyPair::from_pem(&text) {
        Ok(key) if key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256) => Ok(key),
        Ok(_) | Err(_) => Err(CaError::InvalidFile { file: file.to_path_buf(), why }),
    }
}

fn matching(certificates: &str, key: &KeyPair) -> Result<(Vec<u8>, DateTime<Utc>), &'static str> {
    let public = key.subject_public_key_info();
    for pem in Pem::iter_from_buffer(certificates.as_bytes()) {
        let der = pem.or(Err("it must contain certificates in PEM"))?.contents;
        let (_, certificate) =
            parse_x509_certificate(&der).or(Err("it must contain certificates in PEM"))?;
        if certificate.public_key().raw != public {
            continue;
        }
        if !certificate.is_ca() {
            return Err("the certificate that matches ca.key is not a CA certificate");
        }
        let end = certificate.validity().not_after.timestamp();
        let end = DateTime::from_timestamp(end, 0).ok_or("its expiry time is out of range")?;
        return Ok((der.clone(), end));
    }
    Err("none of its certificates matches ca.key")
}

#[cfg(test)]
mod tests {
    use super::super::{CertificateAuthority, EnrolledHost, EnrolledHosts, Step, rotate};
    use super::*;

    #[test]
    fn only_the_owner_may_change_the_ca() {
        let home = tempfile::tempdir().expect("a directory");
        let here = home.path();
        CertificateAuthority::init(here).expect("a CA");
        let other = rustix::process::geteuid().as_raw() + 1;
        if std::os::unix::fs::chown(here, Some(other), None).is_err() {
            // Only root can change the owner of a file.
            return;
        }
        let files = || fs::read_dir(here).expect("a directory").count();
        let before = files();
        let host = EnrolledHost::new("compute1".parse().expect("a host"), []);
        for error in [
            rotate(here, Step::Prepare).expect_err("refused"),
            EnrolledHosts::of_ca(here).enrol(&host).expect_err("refused"),
            EnrolledHosts::of_ca(here).remove(host.host()).expect_err("refused"),
        ] {
            assert!(matches!(error, CaError::NotOwner { .. }), "{error}");
            assert!(error.to_string().contains("run the command as the owner"), "{error}");
        }
        assert_eq!(files(), before);
    }
}
