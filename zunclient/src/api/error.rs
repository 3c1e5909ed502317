//! Why the service did not do what it was asked.

/// What went wrong with a request.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address is none.
    #[error("`{0}` is no address of the service: it must be like http://127.0.0.1:9517/v1")]
    BadEndpoint(String),
    /// The file of authorities cannot be used.
    #[error("cannot use the authorities of OS_CACERT")]
    BadCaFile(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client cannot be made.
    #[error("cannot set up the connection to the service")]
    Setup(#[source] reqwest::Error),
    /// A name that no container can have.
    #[error("`{0}` is no name of a container")]
    BadName(String),
    /// The service cannot be reached.
    #[error("cannot reach the service at {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        #[source]
        cause: reqwest::Error,
    },
    /// The service did not answer in time, or hung up: the work may still happen.
    #[error("the service at {address} did not answer; the work may still happen")]
    NoAnswer {
        /// Where.
        address: String,
        /// Why.
        #[source]
        cause: reqwest::Error,
    },
    /// The service refused.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's words.
        message: String,
        /// The request, as the service's log knows it.
        request: Option<String>,
    },
    /// The answer cannot be read.
    #[error("the service's answer cannot be read")]
    BadAnswer {
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
        /// The request, as the service's log knows it.
        request: Option<String>,
    },
}

impl ApiError {
    /// The request, where the service told it.
    pub fn request(&self) -> Option<&str> {
        match self {
            Self::Refused { request, .. } | Self::BadAnswer { request, .. } => request.as_deref(),
            Self::BadEndpoint(_)
            | Self::BadCaFile(_)
            | Self::Setup(_)
            | Self::BadName(_)
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. } => None,
        }
    }

    /// The HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::BadEndpoint(_)
            | Self::BadCaFile(_)
            | Self::Setup(_)
            | Self::BadName(_)
            | Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::BadAnswer { .. } => None,
        }
    }

    /// The container is not there.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}
