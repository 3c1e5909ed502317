//! Key pairs and certificate signing requests. A key never leaves the process (or the host) that made it.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use crate::secret::Secret;

/// A key could not be made, or a request could not be signed with it.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a key pair and its certificate signing request")]
pub struct PkiError(#[from] rcgen::Error);

/// A fresh P-256 key with a signing request for it.
pub struct SigningRequest {
    /// The private key, PKCS#8 PEM.
    pub key: Secret<String>,
    /// The request, PEM.
    pub csr: String,
}

/// Makes a key pair and a request. `names` are the subject's alternative names: DNS names and IP addresses
/// for a host, none for a client (zun-api alone says what a grant is good for).
pub fn signing_request(common_name: &str, names: Vec<String>) -> Result<SigningRequest, PkiError> {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let csr = params.serialize_request(&key)?.pem()?;
    Ok(SigningRequest { key: Secret::new(key.serialize_pem()), csr })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_its_key_are_pem_and_the_key_is_not_shown() {
        let request = signing_request("client", Vec::new()).expect("a request");
        assert!(request.csr.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
        assert!(request.key.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(format!("{:?}", request.key), "Secret(…)");
    }
}
