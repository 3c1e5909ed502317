//! The descriptors that the service manager kept for this process.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rustix::io::{FdFlags, fcntl_setfd};

/// The descriptors that were passed to this process cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the descriptors in LISTEN_FDS: {0}")]
pub struct InheritedError(String);

/// The descriptors that a former process of the service stored, by their names.
#[derive(Debug, Default)]
pub struct Inherited(BTreeMap<String, Vec<OwnedFd>>);

impl Inherited {
    /// Takes the descriptors that were passed to this process (systemd's `LISTEN_FDS`). Must be called once, before
    /// anything else opens a file.
    pub fn from_env() -> Result<Self, InheritedError> {
        let passed = sd_listen_fds::get().map_err(|error| InheritedError(error.to_string()))?;
        let mut all = Self::default();
        for (name, descriptor) in passed {
            let descriptor = descriptor.into_std();
            fcntl_setfd(&descriptor, FdFlags::CLOEXEC)
                .map_err(|error| InheritedError(error.to_string()))?;
            all.add(name.unwrap_or_default(), descriptor);
        }
        Ok(all)
    }

    /// Adds a descriptor.
    pub fn add(&mut self, name: String, descriptor: OwnedFd) {
        self.0.entry(name).or_default().push(descriptor);
    }

    /// Takes the listening socket, if there is one.
    pub fn listener(&mut self) -> Option<TcpListener> {
        self.0.remove(LISTENER)?.pop().map(Into::into)
    }

    /// Takes the record of tickets and revoked grants, if there is one.
    pub fn rights(&mut self) -> Option<OwnedFd> {
        self.0.remove(RIGHTS)?.pop()
    }

    /// Takes a session's descriptors, with the session's number.
    pub fn session(&mut self) -> Option<(u64, Vec<OwnedFd>)> {
        let (name, number) =
            self.0.keys().find_map(|name| Some((name.clone(), session_number(name)?)))?;
        Some((number, self.0.remove(&name)?))
    }

    /// The names of those that were not taken.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The name of the listening socket's descriptor.
pub(crate) const LISTENER: &str = "listener";

/// The name of the descriptor of the record of tickets and revoked grants.
pub(crate) const RIGHTS: &str = "rights";

/// The name of a session's descriptors. systemd passes all names in one variable of at most 128 KiB, so it is short.
pub(crate) fn session_name(number: u64) -> String {
    format!("s{number}")
}

fn session_number(name: &str) -> Option<u64> {
    name.strip_prefix('s')?.parse().ok()
}

/// Takes the descriptor with this inode.
pub(crate) fn take(descriptors: &mut Vec<OwnedFd>, inode: u64) -> io::Result<OwnedFd> {
    let found =
        descriptors.iter().position(|one| super::inode(one).is_ok_and(|found| found == inode));
    let found = found.ok_or_else(|| io::Error::other("a descriptor is missing"))?;
    Ok(descriptors.swap_remove(found))
}
