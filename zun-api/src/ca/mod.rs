//! The certificate authority. It signs grants for clients and server certificates for hosts.
//!
//! Only zun-api has its key. It decides the contents of every certificate; from a signing request it takes only
//! the public key and, for a host, the names.

mod error;
mod files;
mod hosts;
mod issue;
mod request;
mod rotation;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::Path;

use chrono::{DateTime, Utc};
use rcgen::{Issuer, KeyPair, SanType};
use zun_common::atomic_file::Attributes;
use zun_common::grant::Grant;
use zun_common::id::HostName;
use zun_common::secret::Secret;

pub use error::CaError;
pub use hosts::{EnrolledHost, EnrolledHosts, HostAddress, InvalidHostAddress};
pub use issue::GRANT_LIFETIME_SECONDS;
pub use request::InvalidCsr;
pub use rotation::{Role, Step, TrustedCa, rotate, trusted_cas};

/// The file with the CA's certificate, readable by all. During a rotation it also contains another CA's.
pub const CERTIFICATE_FILE: &str = "ca.pem";
/// The file with the CA's private key, readable only by its owner.
pub const KEY_FILE: &str = "ca.key";

/// The file with the next CA's private key, during a rotation.
pub const NEXT_KEY_FILE: &str = "ca.next.key";

/// The file with the certificate of the API's listener.
pub const API_CERTIFICATE_FILE: &str = "cert.pem";
/// The file with the private key of the API's listener, readable only by its owner.
pub const API_KEY_FILE: &str = "key.pem";

/// A CA that is ready to sign.
pub struct CertificateAuthority {
    hosts: EnrolledHosts,
    issuer: Issuer<'static, KeyPair>,
    certificates: String,
    expires_at: DateTime<Utc>,
}

/// A signed grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedGrant {
    /// The client certificate in PEM.
    pub certificate: String,
    /// New connections are refused after this time.
    pub expires_at: DateTime<Utc>,
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("CertificateAuthority")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl CertificateAuthority {
    /// Creates a CA in a directory. Creates the directory if necessary, and never overwrites files.
    pub fn init(directory: &Path) -> Result<Self, CaError> {
        let new = issue::new_ca(Utc::now())?;
        files::write(directory, &new)?;
        Self::load(directory)
    }

    /// Reads a CA. Returns an error if users other than the owner can read its key.
    pub fn load(directory: &Path) -> Result<Self, CaError> {
        let loaded = files::read(directory)?;
        Ok(Self {
            hosts: EnrolledHosts::of_ca(directory),
            issuer: loaded.issuer,
            certificates: loaded.certificates,
            expires_at: loaded.expires_at,
        })
    }

    /// The trusted CA certificates in PEM, for hosts and clients.
    pub fn certificate_pem(&self) -> &str {
        &self.certificates
    }

    /// Signs a grant: a client certificate for the request's public key. Its only name is the URI of the grant,
    /// and it is valid for [`GRANT_LIFETIME_SECONDS`]. Names in the request are ignored.
    pub fn grant(
        &self,
        csr_pem: &str,
        grant: &Grant,
        grant_id: &str,
        now: DateTime<Utc>,
    ) -> Result<IssuedGrant, CaError> {
        let key = request::public_key(csr_pem)?;
        let (params, expires_at) = issue::grant(grant, grant_id, now)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(CaError::Sign)?;
        Ok(IssuedGrant { certificate: certificate.pem(), expires_at })
    }

    /// Returns a host if it is enrolled.
    pub fn enrolled(&self, host: &HostName) -> Result<EnrolledHost, CaError> {
        self.hosts.find(host)
    }

    /// Signs a server certificate for the request's public key and names. The host must be enrolled with all of
    /// the names.
    pub fn host_certificate(
        &self,
        host: &EnrolledHost,
        csr_pem: &str,
        now: DateTime<Utc>,
    ) -> Result<String, CaError> {
        let (key, names) = request::host(csr_pem)?;
        names.iter().try_for_each(|name| host.covers(name))?;
        let names = names.into_iter().map(name).collect::<Result<Vec<_>, _>>()?;
        let params = issue::host(host.host(), names, (now, self.expires_at))?;
        Ok(params.signed_by(&key, &self.issuer).map_err(CaError::Sign)?.pem())
    }

    /// Creates a key and a server certificate for the API's listener, and writes both into a directory, which it creates
    /// if necessary. Replaces existing files.
    pub fn write_api_certificate(
        &self,
        names: &[HostAddress],
        directory: &Path,
        now: DateTime<Utc>,
    ) -> Result<(), CaError> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(CaError::Sign)?;
        let names = names.iter().cloned().map(name).collect::<Result<Vec<_>, _>>()?;
        let params = issue::api(names, (now, self.expires_at))?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(CaError::Sign)?;
        files::require_owner(directory)?;
        files::create_directory(directory)?;
        let write =
            |name, text: &str, attributes| files::replace(&directory.join(name), text, attributes);
        let private = Secret::new(key.serialize_pem());
        write(API_KEY_FILE, private.expose(), Attributes::PRIVATE)?;
        write(API_CERTIFICATE_FILE, &certificate.pem(), Attributes::PUBLIC)
    }
}

fn name(name: HostAddress) -> Result<SanType, CaError> {
    Ok(match name {
        HostAddress::Name(name) => {
            SanType::DnsName(name.as_str().try_into().map_err(CaError::Sign)?)
        }
        HostAddress::Address(address) => SanType::IpAddress(address),
    })
}
