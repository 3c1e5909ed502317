//! Reads and writes the files of the host's certificate. Key and certificate are in one file that is replaced
//! atomically, and `cert.pem` is a link to it. So Docker finds a key that matches the certificate even after a power
//! failure.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zun_common::atomic_file::{self, Attributes};

use super::{CertificateError, CertificateFiles, Flaw};

/// The contents of the files, in PEM.
pub(super) struct PemTexts {
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

/// One atomic change in the directory.
enum Step<'a> {
    Replace(&'a Path, String, Attributes),
    Link(&'a Path, &'a Path),
}

/// Reads the files. Key and certificate may be in one file, or in two as older versions wrote them.
pub(super) fn read(files: &CertificateFiles) -> Result<PemTexts, Flaw> {
    let open = fs::metadata(&files.key).is_ok_and(|about| about.permissions().mode() & 0o077 != 0);
    texts(files).and_then(|texts| if open { Err(Flaw::KeyReadableByOthers) } else { Ok(texts) })
}

fn texts(files: &CertificateFiles) -> Result<PemTexts, Flaw> {
    let text = |path: &Path, what| match fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(_missing) => Err(Flaw::Unreadable(what)),
    };
    let ca = text(&files.ca, "the CA certificate")?;
    let mut certificate = text(&files.certificate, "the certificate")?;
    certificate.truncate(key_offset(&certificate));
    let mut key = text(&files.key, "the key")?;
    key.drain(..key_offset(&key));
    Ok(PemTexts { ca, certificate, key })
}

/// The offset at which the private key begins, or the end of the text if it has none.
fn key_offset(text: &str) -> usize {
    let mut place = 0;
    for line in text.split_inclusive('\n') {
        if line.starts_with("-----BEGIN ") && line.trim_end().ends_with("PRIVATE KEY-----") {
            break;
        }
        place += line.len();
    }
    place
}

/// Writes all files.
pub(super) fn write(directory: &Path, texts: &PemTexts) -> Result<(), CertificateError> {
    let unwritable = |cause| CertificateError::Unwritable { path: directory.to_owned(), cause };
    let mut make = fs::DirBuilder::new();
    make.recursive(true).mode(0o755).create(directory).map_err(unwritable)?;
    let files = CertificateFiles::within(directory);
    steps(&files, texts).iter().try_for_each(perform)
}

/// Writes the CA list.
pub(super) fn write_ca_list(path: &Path, ca: &str) -> Result<(), CertificateError> {
    perform(&Step::Replace(path, ca.to_owned(), Attributes::PUBLIC))
}

/// Returns the steps to write all files. If key and certificate match before a step, they match after it too.
fn steps<'a>(files: &'a CertificateFiles, wanted: &PemTexts) -> Vec<Step<'a>> {
    let CertificateFiles { ca, certificate, key } = files;
    let mut steps = Vec::new();
    let name = key.file_name().map(PathBuf::from);
    if fs::read_link(certificate).ok() != name {
        // An older version wrote two files: first join them unchanged.
        if let Ok(former) = texts(files) {
            steps.push(Step::Replace(key, pair(&former), Attributes::PRIVATE));
        }
        steps.push(Step::Link(certificate, key));
    }
    steps.push(Step::Replace(key, pair(wanted), Attributes::PRIVATE));
    // `zun-authz`, which runs as another user, reads it.
    steps.push(Step::Replace(ca, wanted.ca.clone(), Attributes::PUBLIC));
    steps
}

fn pair(texts: &PemTexts) -> String {
    let PemTexts { ca: _, certificate, key } = texts;
    format!("{}\n{key}", certificate.trim_end())
}

/// Performs a step atomically. It is on disk before the next one begins.
fn perform(step: &Step<'_>) -> Result<(), CertificateError> {
    let (path, performed) = match step {
        Step::Replace(path, text, attributes) => {
            (path, atomic_file::replace(path, text.as_bytes(), *attributes))
        }
        Step::Link(path, to) => (
            path,
            atomic_file::replace_by_link(path, Path::new(to.file_name().unwrap_or_default())),
        ),
    };
    performed.map_err(|cause| CertificateError::Unwritable { path: (*path).to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData};

    use super::*;

    fn fresh() -> PemTexts {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["compute1".to_owned()]).expect("parameters");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        PemTexts { ca: certificate.clone(), certificate, key: key.serialize_pem() }
    }

    /// Whether key and certificate match. Docker checks this at its start.
    fn key_matches(files: &CertificateFiles) -> bool {
        let texts = read(files).expect("readable");
        let key = KeyPair::from_pem(&texts.key).expect("a key");
        let pem = super::super::pem(&texts.certificate, "it").expect("a certificate");
        let certificate = pem.parse_x509().expect("a certificate");
        certificate.public_key().raw == key.subject_public_key_info().as_slice()
    }

    /// A directory as an older version or this version writes it.
    fn written(in_two_files: bool, old: &PemTexts) -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a directory");
        let CertificateFiles { ca, certificate, key } = CertificateFiles::within(home.path());
        if in_two_files {
            write_file(&certificate, &old.certificate);
            write_file(&key, &old.key);
            write_file(&ca, &old.ca);
        } else {
            write(home.path(), old).expect("written");
        }
        home
    }

    fn write_file(path: &Path, text: &str) {
        atomic_file::replace(path, text.as_bytes(), Attributes::PUBLIC).expect("written");
    }

    fn interrupted_after(taken: usize, home: &Path, expected_steps: usize) {
        let (files, new) = (CertificateFiles::within(home), fresh());
        let steps = steps(&files, &new);
        assert_eq!(steps.len(), expected_steps);
        for step in steps.iter().take(taken) {
            perform(step).expect("taken");
            assert!(key_matches(&files), "{taken} of {expected_steps}");
        }
        write(home, &new).expect("the next time");
        assert!(key_matches(&files));
        assert_eq!(read(&files).expect("readable").key, new.key);
        assert_eq!(fs::read_link(&files.certificate).expect("a link"), Path::new("key.pem"));
        assert_eq!(fs::read_dir(home).expect("a directory").count(), 3);
    }

    #[test]
    fn key_and_certificate_match_after_an_interruption_at_any_step() {
        for taken in 0..=4 {
            interrupted_after(taken, written(true, &fresh()).path(), 4);
        }
        for taken in 0..=2 {
            interrupted_after(taken, written(false, &fresh()).path(), 2);
        }
    }
}
