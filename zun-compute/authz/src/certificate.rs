//! The client certificate of a request, as Docker passes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::pem::parse_x509_pem;
use zun_common::client_certificate::{GrantCertificate, InvalidCertificate, TrustedCas};

/// Reads a client certificate as Docker passes it: PEM, encoded in base64. A trusted CA must have issued it. Does
/// not check whether the grant is valid now.
pub fn read(leaf: &str, cas: &TrustedCas) -> Result<GrantCertificate, InvalidCertificate> {
    let pem = STANDARD.decode(leaf).or(Err(InvalidCertificate::NotACertificate))?;
    match parse_x509_pem(&pem) {
        Ok((rest, pem)) if pem.label == "CERTIFICATE" && rest.trim_ascii().is_empty() => {
            GrantCertificate::read(&pem.contents, cas)
        }
        Ok(_) | Err(_) => Err(InvalidCertificate::NotACertificate),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use x509_parser::parse_x509_certificate;
    use zun_common::client_certificate::TrustedCasError;

    use super::*;
    use crate::testing::Signer;

    #[test]
    fn one_or_two_cas_are_accepted_and_nothing_else() {
        let (one, other) = (Signer::new("a"), Signer::new("b"));
        let both = format!("{}\n{}", one.ca_pem(), other.ca_pem());
        assert_eq!(TrustedCas::from_pem(one.ca_pem().as_bytes()).map(|all| all.count()), Some(1));
        assert_eq!(TrustedCas::from_pem(both.as_bytes()).map(|all| all.count()), Some(2));
        let leaf = one.leaf(|_| {}).pem;
        let mixed = format!("{both}{leaf}");
        for bad in ["", "x", &leaf, &mixed, &one.key_pem()] {
            assert!(TrustedCas::from_pem(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_pipe_a_device_and_a_long_file_are_refused_without_waiting() {
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("it runs");
        assert!(made.success());
        let long = directory.path().join("long");
        let text = Signer::new("a").ca_pem().repeat(1000);
        std::fs::write(&long, text).expect("written");
        for bad in [&pipe, Path::new("/dev/zero"), directory.path(), &long] {
            assert!(matches!(TrustedCas::read(bad), Err(TrustedCasError::Read { .. })), "{bad:?}");
        }
    }

    #[test]
    fn during_a_rotation_both_cas_are_accepted() {
        let (old, new) = (Signer::new("old"), Signer::new("new"));
        let both = format!("{}{}", old.ca_pem(), new.ca_pem());
        let cas = TrustedCas::from_pem(both.as_bytes()).expect("two");
        for signer in [old, new] {
            let der = signer.leaf(|_| {}).der;
            let (_, leaf) = parse_x509_certificate(&der).expect("a certificate");
            assert!(cas.issued(&leaf));
        }
    }

    #[test]
    fn a_ca_with_the_same_name_and_another_key_is_not_accepted() {
        let (ours, namesake) = (Signer::new("a"), Signer::new("a"));
        let cas = TrustedCas::from_pem(ours.ca_pem().as_bytes()).expect("one");
        for (signer, expected) in [(&ours, true), (&namesake, false)] {
            let der = signer.leaf(|_| {}).der;
            let (_, leaf) = parse_x509_certificate(&der).expect("a certificate");
            assert_eq!(cas.issued(&leaf), expected);
        }
    }
}
