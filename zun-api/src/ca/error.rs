//! Errors of the CA. In the REST API, [`CaError::Request`] is a client error and all others are server errors.

use std::io;
use std::path::PathBuf;

use zun_common::id::HostName;

use super::hosts::HostAddress;
use super::request::InvalidCsr;

/// Why the CA cannot be created, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The certificate signing request is not acceptable.
    #[error("the certificate signing request is not valid")]
    Request(#[from] InvalidCsr),
    /// The grant's ID is not valid in a certificate.
    #[error(
        "grant ID `{0}` is not valid: it must be 1 to 64 printable ASCII characters without spaces"
    )]
    GrantId(String),
    /// The host is not enrolled.
    #[error(
        "host `{0}` is not enrolled; run `zun-api host enrol {0}` on the machine that runs zun-api"
    )]
    NotEnrolled(HostName),
    /// The host is not enrolled with this name.
    #[error(
        "host `{host}` is not enrolled with the name `{name}`; on the machine that runs zun-api, run \
         `zun-api host enrol {host} --name {name}` with a --name for each other name of the host too"
    )]
    NameNotEnrolled {
        /// The host.
        host: HostName,
        /// The requested name or address.
        name: HostAddress,
    },
    /// Too many names for one certificate.
    #[error("host `{0}` has too many names: the limit is 31 in addition to its own")]
    TooManyNames(HostName),
    /// The rotation step is not the next one.
    #[error("{0}")]
    Rotation(&'static str),
    /// The CA already exists.
    #[error("`{}` already exists, and a CA is never overwritten", .0.display())]
    Exists(PathBuf),
    /// Users other than the owner can read the key.
    #[error("`{}` has mode {mode:04o}, but only its owner may read it; run chmod 0600", .file.display())]
    InsecureMode {
        /// The key file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The CA belongs to another user, who could not read new files.
    #[error(
        "`{}` belongs to user {owner}, but this process runs as user {own}, so the owner could not read the new files; \
         run the command as the owner (runuser -u zun-api -- zun-api …)", .directory.display()
    )]
    NotOwner {
        /// The CA's directory.
        directory: PathBuf,
        /// The user ID of its owner.
        owner: u32,
        /// The user ID of this process.
        own: u32,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", .file.display())]
    Write {
        /// The file or directory.
        file: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The content of a file is not valid.
    #[error("`{}` is not valid: {why}", .file.display())]
    InvalidFile {
        /// The file.
        file: PathBuf,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A key or a certificate cannot be created.
    #[error("cannot create or sign a certificate")]
    Sign(#[source] rcgen::Error),
    /// The time cannot be represented in a certificate.
    #[error("time {0} cannot be represented in a certificate")]
    Time(i64),
}
