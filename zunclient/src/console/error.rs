//! Why a console did not open, or was lost.

/// Errors of a connection to a host.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The endpoint names a protocol that this client does not know.
    #[error(
        "cannot open the console: this zun does not know the protocol `{0}`; install the zun that has the same version as zun-api"
    )]
    UnknownProtocol(String),
    /// The endpoint lacks an address.
    #[error("cannot open the console: the service sent no address for `{0}`")]
    NoAddress(&'static str),
    /// An address cannot be read.
    #[error("cannot open the console: the service sent a bad address, `{0}`")]
    BadAddress(String),
    /// The certificates cannot be used.
    #[error("cannot use the certificates that the service sent")]
    BadCertificates(#[source] rustls::Error),
    /// A certificate or the key is not PEM.
    #[error("cannot read the certificates that the service sent: they are not PEM")]
    NotPem(#[source] rustls::pki_types::pem::Error),
    /// The host cannot be reached.
    #[error("cannot reach the host at {address}")]
    Unreachable {
        /// All addresses that were tried.
        address: String,
        /// Why the last one failed.
        #[source]
        cause: std::io::Error,
    },
    /// The host did not answer in time.
    #[error("no answer from the host at {address}")]
    NoAnswer {
        /// The address.
        address: String,
    },
    /// The TLS handshake failed: the host's certificate is wrong, or the host refuses the grant.
    #[error("cannot open a TLS connection to the host at {address}")]
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
        /// The host's message.
        message: String,
    },
    /// A proxy refused to connect to the host.
    #[error("the proxy {proxy} refused to connect to the host at {address} ({status})")]
    RefusedByProxy {
        /// The proxy.
        proxy: String,
        /// The address of the host.
        address: String,
        /// The HTTP status of the proxy's answer.
        status: u16,
    },
    /// The answer is not HTTP, or does not fit the request.
    #[error("unexpected answer from the host at {address}: {problem}")]
    BadAnswer {
        /// The address.
        address: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The link was lost.
    #[error("lost the connection to the host")]
    LinkLost(#[source] std::io::Error),
    /// The grant has expired.
    #[error("the grant has expired; run the command again")]
    Expired,
    /// The grant has expired, and cannot be renewed.
    #[error("cannot renew the grant: {0}")]
    NotRenewed(String),
    /// The environment names a proxy that cannot be used.
    #[error(
        "cannot use the proxy for {address}: `{kind}` is not supported; set an http proxy, or add the host to NO_PROXY"
    )]
    UnsupportedProxy {
        /// The address behind the proxy.
        address: String,
        /// The scheme of the proxy's URL.
        kind: String,
    },
    /// The link to the console gate was lost after the request for a console was sent, or the engine failed behind it.
    #[error("the command may be running, but zun has no connection to it")]
    MayHaveStarted(#[source] Box<Self>),
    /// Neither the console gate nor the container engine opened the console.
    #[error("{}; the console gate failed too: {gate}", zun_common::chain(engine))]
    NeitherWay {
        /// Why the console gate did not.
        gate: String,
        /// Why the engine did not.
        engine: Box<Self>,
    },
    /// This protocol has no such call.
    #[error("this console does not support {0}")]
    Unsupported(&'static str),
}
