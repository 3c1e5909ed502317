//! The enrolled hosts. Only an enrolled host gets a server certificate, and only for the names in its file.
//! The CA's directory has a file `hosts/NAME` for each host, with a name or address on each line. Changes take
//! effect at once.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use zun_common::atomic_file::Attributes;
use zun_common::id::HostName;

use super::{CaError, files};

/// The directory of enrolled hosts, within the CA's directory.
const DIRECTORY: &str = "hosts";
/// Maximum number of names of one host.
pub(super) const MAX_NAMES: usize = 32;

/// A name or address that clients connect to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostAddress {
    /// DNS name.
    Name(HostName),
    /// IP address.
    Address(IpAddr),
}

/// The text is neither a DNS name nor an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not valid: it must be a lower-case DNS name without wildcards, or an IP address")]
pub struct InvalidHostAddress(String);

impl FromStr for HostAddress {
    type Err = InvalidHostAddress;
    fn from_str(text: &str) -> Result<Self, InvalidHostAddress> {
        let address = || text.parse().ok().map(Self::Address);
        let name = || text.parse().ok().map(Self::Name);
        address().or_else(name).ok_or_else(|| InvalidHostAddress(text.chars().take(80).collect()))
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(out),
            Self::Address(address) => address.fmt(out),
        }
    }
}

/// A host that gets certificates, and the names that they may contain. Its own name is always included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledHost {
    host: HostName,
    names: BTreeSet<HostAddress>,
}

impl EnrolledHost {
    /// Creates a host with additional names and addresses.
    pub fn new(host: HostName, names: impl IntoIterator<Item = HostAddress>) -> Self {
        let own = HostAddress::Name(host.clone());
        Self { host, names: names.into_iter().chain([own]).collect() }
    }

    /// The host's name.
    pub const fn host(&self) -> &HostName {
        &self.host
    }

    /// All names and addresses that its certificate may contain.
    pub fn names(&self) -> impl Iterator<Item = &HostAddress> {
        self.names.iter()
    }

    pub(super) fn covers(&self, name: &HostAddress) -> Result<(), CaError> {
        if self.names.contains(name) {
            return Ok(());
        }
        Err(CaError::NameNotEnrolled { host: self.host.clone(), name: name.clone() })
    }
}

/// The enrolled hosts of a CA.
#[derive(Debug, Clone)]
pub struct EnrolledHosts(PathBuf);

impl EnrolledHosts {
    /// Opens the enrolled hosts of the CA in this directory.
    pub fn of_ca(ca: &Path) -> Self {
        Self(ca.join(DIRECTORY))
    }

    /// Enrols a host, or replaces its names.
    pub fn enrol(&self, host: &EnrolledHost) -> Result<(), CaError> {
        if host.names.len() > MAX_NAMES {
            return Err(CaError::TooManyNames(host.host.clone()));
        }
        self.require_owner()?;
        files::create_directory(&self.0)?;
        let lines: String =
            host.names.iter().flat_map(|name| [name.to_string(), "\n".to_owned()]).collect();
        files::replace(&self.file(&host.host), &lines, Attributes::PUBLIC)
    }

    /// Returns an enrolled host.
    pub fn find(&self, host: &HostName) -> Result<EnrolledHost, CaError> {
        let file = self.file(host);
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                return Err(CaError::NotEnrolled(host.clone()));
            }
            Err(cause) => return Err(CaError::Read { file, cause }),
        };
        let names: Result<Vec<HostAddress>, _> = text.lines().map(str::parse).collect();
        let why = "each line must be a lower-case DNS name or an IP address";
        let names = names.or(Err(CaError::InvalidFile { file, why }))?;
        Ok(EnrolledHost::new(host.clone(), names))
    }

    /// Returns all enrolled hosts, by name.
    pub fn all(&self) -> Result<Vec<EnrolledHost>, CaError> {
        let unread = |cause| CaError::Read { file: self.0.clone(), cause };
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => return Err(unread(cause)),
        };
        let mut hosts = BTreeSet::new();
        for entry in entries {
            // Files that are not named like a host are left from interrupted writes.
            if let Ok(host) =
                entry.map_err(unread)?.file_name().to_string_lossy().parse::<HostName>()
            {
                hosts.insert(host);
            }
        }
        hosts.iter().map(|host| self.find(host)).collect()
    }

    /// Removes a host. Its current certificate stays valid until it expires.
    pub fn remove(&self, host: &HostName) -> Result<(), CaError> {
        self.require_owner()?;
        let file = self.file(host);
        fs::remove_file(&file).map_err(|cause| {
            if cause.kind() == ErrorKind::NotFound {
                CaError::NotEnrolled(host.clone())
            } else {
                CaError::Write { file, cause }
            }
        })
    }

    fn require_owner(&self) -> Result<(), CaError> {
        self.0.parent().map_or(Ok(()), files::require_owner)
    }

    /// Returns a host's file. Host names are safe in paths: they contain no slash and do not start with a dot.
    fn file(&self, host: &HostName) -> PathBuf {
        self.0.join(host.as_str())
    }
}
