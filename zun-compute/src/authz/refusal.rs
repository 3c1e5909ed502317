//! Why a request is refused.

/// Why a request is refused. The text is logged and never sent to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request cannot be parsed.
    #[error("cannot parse the authorization request")]
    Unreadable,
    /// The request is not local, and there is no client certificate.
    #[error("the request is not local and has no TLS client certificate")]
    NoCertificate,
    /// The certificate is not exactly one certificate in PEM.
    #[error("cannot parse the client certificate")]
    NotACertificate,
    /// No trusted CA issued the certificate.
    #[error("the client certificate is not issued by a trusted CA")]
    UntrustedIssuer,
    /// The certificate is a CA, or its extended key usage is not exactly `clientAuth`.
    #[error("the certificate must be a client certificate with no other key usage")]
    NotClientOnly,
    /// The common name is not usable as a grant id.
    #[error("the certificate has no common name that is a valid grant id")]
    NoUsableName,
    /// Docker names another user than the certificate.
    #[error("the user is not the common name of the certificate")]
    UserMismatch,
    /// The certificate does not have exactly one grant.
    #[error("the only subject alternative name of the certificate must be a grant URI")]
    InvalidGrant,
    /// The certificate's validity is longer than that of any certificate that zun-api signs.
    #[error("the grant is valid for longer than any grant that zun-api signs")]
    LifetimeTooLong,
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
