//! Creates key pairs and certificate signing requests. A key never leaves the process or host that created it.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

use crate::secret::Secret;

/// The key or the request cannot be created.
#[derive(Debug, thiserror::Error)]
#[error("cannot create a key pair and a certificate signing request")]
pub struct PkiError(#[from] rcgen::Error);

/// A new P-256 key and a signing request for it.
pub struct SigningRequest {
    /// The private key, PKCS#8 in PEM.
    pub key: Secret<String>,
    /// The request in PEM.
    pub csr: String,
}

/// Creates a key pair and a request. `names` are the subject alternative names: DNS names and IP addresses for
/// a host, none for a client, because zun-api alone decides what a grant allows.
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
    fn request_and_key_are_pem_and_debug_hides_the_key() {
        let request = signing_request("client", Vec::new()).expect("a request");
        assert!(request.csr.starts_with("-----BEGIN CERTIFICATE REQUEST-----"));
        assert!(request.key.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
        assert_eq!(format!("{:?}", request.key), "Secret(…)");
    }
}
