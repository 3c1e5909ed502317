//! The certificate authority: signs grants for clients and server certificates for hosts.
//!
//! Its key is held by zun-api alone. What it signs is decided here; from a request it takes the public key
//! and, for a host, the names.

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
use zun_common::grant::Grant;
use zun_common::id::HostName;

pub use error::CaError;
pub use hosts::{EnrolledHost, EnrolledHosts, HostAddress, InvalidHostAddress};
pub use issue::GRANT_LIFETIME_SECONDS;
pub use request::InvalidCsr;
pub use rotation::{Role, Step, TrustedCa, rotate, trusted_cas};

/// The file with the CA's certificate, readable by all. During a rotation another one follows in it.
pub const CERTIFICATE_FILE: &str = "ca.pem";
/// The file with the CA's private key, for its owner alone.
pub const KEY_FILE: &str = "ca.key";

/// During a rotation: the private key of the CA to come.
pub const NEXT_KEY_FILE: &str = "ca.next.key";

/// A loaded CA.
pub struct CertificateAuthority {
    hosts: EnrolledHosts,
    issuer: Issuer<'static, KeyPair>,
    certificates: String,
    expires_at: DateTime<Utc>,
}

/// A signed grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedGrant {
    /// The client certificate, PEM.
    pub certificate: String,
    /// It cannot be dialled with after this.
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
    /// Makes a new CA in a directory, which is made where it is missing. Existing files are never
    /// overwritten.
    pub fn init(directory: &Path) -> Result<Self, CaError> {
        let made = issue::new_ca(Utc::now())?;
        files::write(directory, &made)?;
        Self::load(directory)
    }

    /// Reads a CA. A key that others may read is refused.
    pub fn load(directory: &Path) -> Result<Self, CaError> {
        let loaded = files::read(directory)?;
        Ok(Self {
            hosts: EnrolledHosts::of_ca(directory),
            issuer: loaded.issuer,
            certificates: loaded.certificates,
            expires_at: loaded.expires_at,
        })
    }

    /// What hosts and clients trust, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificates
    }

    /// Signs a grant: a client certificate for the request's public key, good for one thing and dialled with
    /// for at most [`GRANT_LIFETIME_SECONDS`]. Names in the request are ignored.
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

    /// A host that is enrolled now.
    pub fn enrolled(&self, host: &HostName) -> Result<EnrolledHost, CaError> {
        self.hosts.find(host)
    }

    /// Signs a host's server certificate for the request's public key and its DNS names and addresses, all of
    /// which it must be enrolled with.
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
}

fn name(name: HostAddress) -> Result<SanType, CaError> {
    Ok(match name {
        HostAddress::Name(name) => {
            SanType::DnsName(name.as_str().try_into().map_err(CaError::Sign)?)
        }
        HostAddress::Address(address) => SanType::IpAddress(address),
    })
}
