//! Why a request is refused.

use zun_common::client_certificate::InvalidCertificate;

/// Why a request is refused. The text is logged and never sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request cannot be parsed.
    #[error("cannot parse the authorization request")]
    Unreadable,
    /// The request is not local, and there is no client certificate.
    #[error("the request is not local and has no TLS client certificate")]
    NoCertificate,
    /// The certificate is not a grant of a trusted CA.
    #[error(transparent)]
    Certificate(#[from] InvalidCertificate),
    /// Docker names another user than the certificate.
    #[error("the user is not the common name of the certificate")]
    UserMismatch,
    /// The grant names another host.
    #[error("the grant is for another host")]
    HostMismatch,
    /// The grant is not valid yet, or has expired.
    #[error("the grant has expired or is not valid yet")]
    NotValidNow,
    /// The grant does not permit the method and target.
    #[error("the grant does not permit this call")]
    CallNotGranted,
    /// The body could override the target's parameters.
    #[error("the content type of the request could change the meaning of the call")]
    UnsafeContentType,
}
