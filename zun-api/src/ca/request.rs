//! Parses certificate signing requests: the public key and, for a host, the names. Everything else is ignored.

use std::net::IpAddr;

use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY};
use x509_parser::pem::{Pem, parse_x509_pem};
use x509_parser::prelude::FromDer;

use super::hosts::{HostAddress, MAX_NAMES};

/// Maximum size of a signing request, in bytes.
const MAX_CSR: usize = 16 * 1024;

/// Why a certificate signing request is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCsr {
    /// It is not a single PEM block of the right kind, or it is too large.
    #[error("it must be one PEM block `CERTIFICATE REQUEST` of at most 16 KiB")]
    NotPem,
    /// The block is not a PKCS#10 request.
    #[error("it must be a PKCS#10 request")]
    NotPkcs10,
    /// It is not signed with its own key.
    #[error("it must be signed with its own key")]
    Signature,
    /// The key has another type.
    #[error("its key must be an ECDSA key on P-256")]
    Key,
    /// A host's request has no names, or too many.
    #[error("it must contain 1 to 32 DNS names and IP addresses of the host")]
    Names,
    /// A name is not valid for a host.
    #[error(
        "name `{0}` is not valid: it must be a lower-case DNS name without wildcards, or an IP address"
    )]
    Name(String),
}

/// Returns the public key of a client's request.
pub(super) fn public_key(csr_pem: &str) -> Result<SubjectPublicKeyInfo, InvalidCsr> {
    let pem = block(csr_pem)?;
    key_of(&request(&pem.contents)?)
}

/// Returns the public key and the names of a host's request.
pub(super) fn host(csr_pem: &str) -> Result<(SubjectPublicKeyInfo, Vec<HostAddress>), InvalidCsr> {
    let pem = block(csr_pem)?;
    let request = request(&pem.contents)?;
    Ok((key_of(&request)?, names_of(&request)?))
}

fn block(csr_pem: &str) -> Result<Pem, InvalidCsr> {
    if csr_pem.len() > MAX_CSR {
        return Err(InvalidCsr::NotPem);
    }
    match parse_x509_pem(csr_pem.as_bytes()) {
        Ok((rest, pem)) if pem.label == "CERTIFICATE REQUEST" && rest.trim_ascii().is_empty() => {
            Ok(pem)
        }
        Ok(_) | Err(_) => Err(InvalidCsr::NotPem),
    }
}

fn request(der: &[u8]) -> Result<X509CertificationRequest<'_>, InvalidCsr> {
    let Ok((&[], request)) = X509CertificationRequest::from_der(der) else {
        return Err(InvalidCsr::NotPkcs10);
    };
    // Check the key type first, so that no other kind of signature has to be verified.
    if !is_p256(&request) {
        return Err(InvalidCsr::Key);
    }
    if request.verify_signature().is_err() {
        return Err(InvalidCsr::Signature);
    }
    Ok(request)
}

fn is_p256(request: &X509CertificationRequest<'_>) -> bool {
    let algorithm = &request.certification_request_info.subject_pki.algorithm;
    let curve = algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == Some(OID_EC_P256)
}

fn key_of(request: &X509CertificationRequest<'_>) -> Result<SubjectPublicKeyInfo, InvalidCsr> {
    let raw = request.certification_request_info.subject_pki.raw;
    SubjectPublicKeyInfo::from_der(raw).or(Err(InvalidCsr::Key))
}

fn names_of(request: &X509CertificationRequest<'_>) -> Result<Vec<HostAddress>, InvalidCsr> {
    let mut names = Vec::new();
    for extension in request.requested_extensions().into_iter().flatten() {
        if let ParsedExtension::SubjectAlternativeName(requested) = extension {
            names.extend(requested.general_names.iter());
        }
    }
    if names.is_empty() || names.len() > MAX_NAMES {
        return Err(InvalidCsr::Names);
    }
    names.into_iter().map(name).collect()
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds are the library's; all others are refused"
)]
fn name(name: &GeneralName<'_>) -> Result<HostAddress, InvalidCsr> {
    let good = match name {
        GeneralName::DNSName(text) => text.parse().ok().map(HostAddress::Name),
        GeneralName::IPAddress(bytes) => address(bytes).map(HostAddress::Address),
        _ => None,
    };
    good.ok_or_else(|| InvalidCsr::Name(name.to_string().chars().take(80).collect()))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
