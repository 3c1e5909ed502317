//! Why there is no token of Keystone.

use crate::api::BadTlsFile;

/// Why Keystone gave no token, or no address of the service.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A value is missing.
    #[error("cannot log in: {0} is not set")]
    Missing(&'static str),
    /// The address is not an HTTP URL.
    #[error("cannot log in: OS_AUTH_URL `{0}` is not an http or https URL")]
    BadUrl(String),
    /// A file for TLS cannot be used.
    #[error(transparent)]
    BadTlsFile(#[from] BadTlsFile),
    /// The HTTP client cannot be set up.
    #[error("cannot set up the connection to Keystone")]
    Setup(#[source] reqwest::Error),
    /// Keystone cannot be reached.
    #[error("cannot reach Keystone at {address}; check OS_AUTH_URL")]
    Unreachable {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        cause: reqwest::Error,
    },
    /// Keystone rejects the credentials.
    #[error("Keystone rejects these credentials ({what}): {message}")]
    Rejected {
        /// Which credentials.
        what: String,
        /// Keystone's message.
        message: String,
    },
    /// Keystone answered with an error.
    #[error("Keystone answered with status {status}: {message}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// Keystone's message.
        message: String,
    },
    /// The answer cannot be read.
    #[error(
        "cannot read Keystone's answer; is OS_AUTH_URL the address of the Identity API, version 3?"
    )]
    BadAnswer(#[source] Option<reqwest::Error>),
    /// The catalog does not have the service.
    #[error(
        "Keystone's catalog has no {interface} endpoint of type `container`{region}; set OS_ENDPOINT, such as https://zun.example.org/v1"
    )]
    NoEndpoint {
        /// The interface, such as `public`.
        interface: String,
        /// ` in region X`, or empty.
        region: String,
    },
}
