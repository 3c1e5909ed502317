//! What can go wrong with the CA. [`CaError::Request`] is the asker's fault, all else is ours.

use std::io;
use std::path::PathBuf;

use zun_common::id::HostName;

use super::hosts::HostAddress;
use super::request::InvalidCsr;

/// The CA cannot be made, read, or used.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The certificate signing request is refused.
    #[error("the certificate signing request is refused")]
    Request(#[from] InvalidCsr),
    /// The grant's id cannot stand in a certificate.
    #[error("grant id `{0}` is not valid: it must be 1 to 64 printable ASCII characters")]
    GrantId(String),
    /// Nobody said that this host is one of ours.
    #[error("host `{0}` is not enrolled: `zun-api host enrol {0}` does it, where zun-api is")]
    NotEnrolled(HostName),
    /// It may not be dialled by this.
    #[error(
        "host `{host}` is not enrolled with `{name}`: `zun-api host enrol {host} --name {name}` does it, where \
         zun-api is"
    )]
    NameNotEnrolled {
        /// The host.
        host: HostName,
        /// The name or address that it asked for.
        name: HostAddress,
    },
    /// More than a certificate should hold.
    #[error("host `{0}` has too many names: 31 beside its own at most")]
    TooManyNames(HostName),
    /// The step is not the next one.
    #[error("{0}")]
    Rotation(&'static str),
    /// There is a CA already.
    #[error("`{}` exists already: an authority is never overwritten", .0.display())]
    Exists(PathBuf),
    /// Others could read the key.
    #[error("`{}` has mode {mode:04o}: only its owner may read it (chmod 0600)", .file.display())]
    InsecureMode {
        /// The key file.
        file: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// What is written would belong to another user than the CA.
    #[error(
        "`{}` belongs to user {owner}, and this is user {own}: what was written now, its owner could not read; \
         say it as its owner (runuser -u zun-api -- zun-api …)", .directory.display()
    )]
    NotOwner {
        /// The CA's directory.
        directory: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose this process is.
        own: u32,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", .file.display())]
    Write {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// A file does not hold what it should.
    #[error("`{}` cannot be used: {why}", .file.display())]
    InvalidFile {
        /// The file.
        file: PathBuf,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A key or a certificate cannot be made.
    #[error("cannot make or sign a certificate")]
    Sign(#[source] rcgen::Error),
    /// A time is outside what a certificate can say.
    #[error("time {0} cannot stand in a certificate")]
    Time(i64),
}
