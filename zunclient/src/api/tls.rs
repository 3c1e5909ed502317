//! The files of the TLS connections to the API and to Keystone.

use std::path::{Path, PathBuf};

use reqwest::ClientBuilder;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The files for TLS, all in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The CA certificates to trust; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// The client certificate, with intermediate certificates after it. Without a `key`, the file has the key too.
    pub certificate: Option<PathBuf>,
    /// The unencrypted private key of the client certificate.
    pub key: Option<PathBuf>,
}

/// A file for TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadTlsFile {
    /// The file of CA certificates.
    #[error("cannot use the CA certificates in OS_CACERT (`{}`)", .path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: Cause,
    },
    /// The file of the client certificate.
    #[error("cannot use the client certificate in OS_CERT (`{}`)", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: Cause,
    },
    /// The file of the key.
    #[error("cannot use the key of the client certificate in {variable} (`{}`)", .path.display())]
    Key {
        /// `OS_KEY`, or `OS_CERT` if there is no other file.
        variable: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: Cause,
    },
    /// There is only a key.
    #[error("OS_KEY is set, but OS_CERT is not: set OS_CERT to the file of the client certificate")]
    KeyOnly,
}

impl TlsFiles {
    /// Applies the files to a client.
    pub(super) fn apply(&self, mut builder: ClientBuilder) -> Result<ClientBuilder, BadTlsFile> {
        if let Some(path) = &self.ca {
            builder = builder.tls_certs_only(ca_certificates(path)?);
        }
        match (&self.certificate, &self.key) {
            (Some(certificate), key) => {
                Ok(builder.identity(identity(certificate, key.as_deref())?))
            }
            (None, None) => Ok(builder),
            (None, Some(_)) => Err(BadTlsFile::KeyOnly),
        }
    }
}

fn ca_certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, BadTlsFile> {
    let bad = |cause: Cause| BadTlsFile::Ca { path: path.to_owned(), cause };
    let pem = std::fs::read(path).map_err(|cause| bad(cause.into()))?;
    reqwest::Certificate::from_pem_bundle(&pem).map_err(|cause| bad(cause.into()))
}

/// Reads the client certificate and its key, and checks that they belong together.
fn identity(path: &Path, key: Option<&Path>) -> Result<reqwest::Identity, BadTlsFile> {
    let bad = |cause: Cause| BadTlsFile::Certificate { path: path.to_owned(), cause };
    let (variable, key_path) = key.map_or(("OS_CERT", path), |key| ("OS_KEY", key));
    let bad_key = |cause: Cause| BadTlsFile::Key { variable, path: key_path.to_owned(), cause };

    let certificate = std::fs::read(path).map_err(|cause| bad(cause.into()))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&certificate)
        .collect::<Result<_, _>>()
        .map_err(|cause| bad(cause.into()))?;
    if chain.is_empty() {
        return Err(bad("it has no certificate in PEM".into()));
    }
    let mut pem = std::fs::read(key_path).map_err(|cause| bad_key(cause.into()))?;
    let key = PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|_no_key| bad_key("it has no unencrypted private key in PEM".into()))?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider())
        .map_err(|cause| bad_key(cause.into()))?;
    // The key last: reqwest uses the last one.
    if key_path != path {
        pem = [certificate.as_slice(), b"\n", pem.as_slice()].concat();
    }
    reqwest::Identity::from_pem(&pem).map_err(|cause| bad(cause.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_certificate_that_cannot_be_used_is_named_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["ann".to_owned()]).unwrap();
        let other = rcgen::KeyPair::generate().unwrap();
        let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        for (name, text) in [
            ("cert", certificate.clone()),
            ("key", key.clone()),
            ("both", format!("{key}{certificate}")),
            ("other", other.serialize_pem()),
        ] {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let read = |certificate: &str, key: Option<&str>| {
            let key = key.map(|key| directory.path().join(key));
            let identity = identity(&directory.path().join(certificate), key.as_deref());
            let here = format!("{}/", directory.path().display());
            identity.map(drop).map_err(|bad| zun_common::chain(&bad).replace(&here, ""))
        };
        assert_eq!(read("cert", Some("key")), Ok(()));
        assert_eq!(read("both", None), Ok(()));
        assert_eq!(read("both", Some("key")), Ok(()));
        for (certificate, key, expected) in [
            ("none", None, "certificate in OS_CERT (`none`): No such file"),
            ("key", Some("key"), "certificate in OS_CERT (`key`): it has no certificate"),
            ("cert", None, "in OS_CERT (`cert`): it has no unencrypted private key"),
            ("cert", Some("none"), "in OS_KEY (`none`): No such file"),
            ("cert", Some("cert"), "in OS_KEY (`cert`): it has no unencrypted private key"),
            ("cert", Some("other"), "in OS_KEY (`other`): keys may not be consistent"),
        ] {
            let refusal = read(certificate, key).unwrap_err();
            assert!(refusal.contains(expected), "{refusal}");
        }
        let only = TlsFiles { key: Some("key".into()), ..TlsFiles::default() };
        let refusal = only.apply(reqwest::Client::builder()).unwrap_err().to_string();
        assert!(refusal.starts_with("OS_KEY is set, but OS_CERT is not"), "{refusal}");
    }
}
