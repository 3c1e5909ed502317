//! Why a console did not open, or ended.

/// What went wrong between this client and a host.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The endpoint names a connection function of another age.
    #[error("the console speaks `{0}`, which this client does not know")]
    UnknownProtocol(String),
    /// The endpoint lacks an address.
    #[error("the console endpoint has no address to {0}")]
    NoAddress(&'static str),
    /// An address cannot be read.
    #[error("the console's address `{0}` cannot be read")]
    BadAddress(String),
    /// The certificates cannot be used.
    #[error("the console endpoint's certificates cannot be used")]
    BadCertificates(#[source] rustls::Error),
    /// A certificate or the key is not PEM.
    #[error("the console endpoint's certificates are not PEM")]
    NotPem(#[source] rustls::pki_types::pem::Error),
    /// The host cannot be reached.
    #[error("cannot reach the console at {address}")]
    Unreachable {
        /// All addresses that were tried.
        address: String,
        /// Why the last one failed.
        #[source]
        cause: std::io::Error,
    },
    /// The host did not answer in time.
    #[error("the console at {address} does not answer")]
    NoAnswer {
        /// The address.
        address: String,
    },
    /// TLS failed: the host is not the one that it should be, or it refuses us.
    #[error("no safe connection to the console at {address}")]
    Handshake {
        /// The address.
        address: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The host refused a call.
    #[error("the host refused ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The host's words.
        message: String,
    },
    /// The answer is no HTTP, or not the one that was asked for.
    #[error("the console at {address} does not speak as it should: {problem}")]
    BadAnswer {
        /// The address.
        address: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The connection broke.
    #[error("the connection to the console broke")]
    LinkLost(#[source] std::io::Error),
    /// The grant can no longer be dialled with.
    #[error("the grant has expired")]
    Expired,
    /// There is no other one.
    #[error("the grant has expired and there is no new one: {0}")]
    NotRenewed(String),
    /// The environment names a proxy that cannot be used.
    #[error("the proxy on the way to {address} is `{kind}`: it must be http, with CONNECT")]
    UnknownProxy {
        /// Where the way leads.
        address: String,
        /// The kind.
        kind: String,
    },
    /// This connection function has no such call.
    #[error("this console cannot pass on {0}")]
    Unsupported(&'static str),
}
