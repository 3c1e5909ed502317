//! Why a request to the service failed.

use super::client::is_without_certificate;
use super::tls::BadTlsFile;
use crate::auth::LoginError;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address is not an HTTP URL.
    #[error(
        "cannot use the API address `{0}`: it must look like http://127.0.0.1:9517/v1; set OS_ENDPOINT or --os-endpoint"
    )]
    BadEndpoint(String),
    /// A file for TLS cannot be used.
    #[error(transparent)]
    BadTlsFile(#[from] BadTlsFile),
    /// Keystone gave no token.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The HTTP client cannot be created.
    #[error("cannot set up the connection to the service")]
    Setup(#[source] reqwest::Error),
    /// A name or ID that is empty, `.` or `..`: a URL with it would mean something else.
    #[error("`{0}` is not a valid name or ID")]
    BadName(String),
    /// The service cannot be reached.
    #[error("cannot reach the service at {address}")]
    Unreachable {
        /// The address of the API.
        address: String,
        /// The cause.
        #[source]
        cause: reqwest::Error,
    },
    /// The service speaks TLS, or something else.
    #[error("the service at {address} does not speak plain HTTP")]
    NotHttp {
        /// The address of the API.
        address: String,
        /// The cause.
        #[source]
        cause: reqwest::Error,
    },
    /// The service did not answer in time, or closed the connection. It may still carry out the request.
    #[error("no answer from the service at {address}; it may still carry out the request")]
    NoAnswer {
        /// The address of the API.
        address: String,
        /// The cause.
        #[source]
        cause: reqwest::Error,
    },
    /// The service stopped sending events.
    #[error("lost the connection to the service at {address}")]
    StreamLost {
        /// The address of the API.
        address: String,
        /// The cause; `None` if the connection was closed, or if nothing has arrived for a while.
        #[source]
        cause: Option<reqwest::Error>,
    },
    /// The service refused the request.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The service's message.
        message: String,
        /// The request ID, as in the log of the service.
        request: Option<String>,
    },
    /// The answer cannot be read.
    #[error("cannot read the service's answer")]
    BadAnswer {
        /// The cause.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
        /// The request ID, as in the log of the service.
        request: Option<String>,
    },
}

impl ApiError {
    /// Returns the request ID, if the service sent one.
    pub fn request(&self) -> Option<&str> {
        match self {
            Self::Refused { request, .. } | Self::BadAnswer { request, .. } => request.as_deref(),
            Self::BadEndpoint(_)
            | Self::BadTlsFile(_)
            | Self::Login(_)
            | Self::Setup(_)
            | Self::BadName(_)
            | Self::Unreachable { .. }
            | Self::NotHttp { .. }
            | Self::NoAnswer { .. }
            | Self::StreamLost { .. } => None,
        }
    }

    /// Returns the HTTP status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::BadEndpoint(_)
            | Self::BadTlsFile(_)
            | Self::Login(_)
            | Self::Setup(_)
            | Self::BadName(_)
            | Self::Unreachable { .. }
            | Self::NotHttp { .. }
            | Self::NoAnswer { .. }
            | Self::StreamLost { .. }
            | Self::BadAnswer { .. } => None,
        }
    }

    /// Returns what the user can do about it, if that is known.
    pub fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Unreachable { address, cause }
                if address.starts_with("https:") && is_plain(cause) =>
            {
                Some("the service speaks plain HTTP: use http:// in OS_ENDPOINT")
            }
            Self::Unreachable { cause, .. } if is_certificate(cause, "NotValidForName") => Some(
                "the service's certificate has another name: use one of its names in OS_ENDPOINT",
            ),
            Self::Unreachable { cause, .. } if is_certificate(cause, "") => Some(
                "zun does not trust the service's certificate: set OS_CACERT to the file with the certificate of its CA",
            ),
            Self::Unreachable { cause, .. } if is_without_certificate(cause) => Some(
                "the service requires a client certificate: set OS_CERT and OS_KEY to its file and to that of its key",
            ),
            Self::Unreachable { .. } => Some("check OS_ENDPOINT, and that zun-api is running"),
            Self::NotHttp { .. } => Some("use https:// in OS_ENDPOINT"),
            Self::Refused { status: 404, message, .. } if message == "Not Found" => {
                Some("check the path in OS_ENDPOINT: it ends with /v1")
            }
            Self::Refused { status: 404, message, .. }
                if message.starts_with("the service answered") =>
            {
                Some("check OS_ENDPOINT: what answers there may not be zun-api")
            }
            Self::Refused { status: 403, message, .. } if message.contains(HOST_PATH) => {
                Some(INSTEAD_OF_PATHS)
            }
            Self::Refused { status: 403, message, .. }
                if message.starts_with("Policy doesn't allow") =>
            {
                Some("the operator can allow it, with a rule in the policy of zun-api")
            }
            Self::Refused { status: 413, .. } => Some(
                "shorten the command, the environment or the labels, or copy files into the container with `zun cp`",
            ),
            Self::Refused { status: 409, message, .. } => return next_step(message),
            Self::Refused { .. }
            | Self::BadAnswer { .. }
            | Self::BadEndpoint(_)
            | Self::BadTlsFile(_)
            | Self::Login(_)
            | Self::Setup(_)
            | Self::BadName(_)
            | Self::NoAnswer { .. }
            | Self::StreamLost { .. } => None,
        };
        advice.map(str::to_owned)
    }

    /// Returns `true` if there is no such container.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }
}

/// What to do instead of mounting a path.
pub(crate) const INSTEAD_OF_PATHS: &str = "use a volume (-v data:/data), --mount type=file,source=FILE,target=PATH for one file, or `zun cp`";

/// The policy rule for mounts of a host's paths.
const HOST_PATH: &str = "container:create:host_path";

/// What to do about `Cannot execute container ID in Stopped state`, and about a name that is in use.
fn next_step(message: &str) -> Option<String> {
    if message.starts_with("A container with the name ") {
        return Some("delete or rename that container, or use another name".to_owned());
    }
    let (action, rest) = message.strip_prefix("Cannot ")?.split_once(" container ")?;
    let (id, status) = rest.split_once(" in ")?;
    let (status, _) = status.split_once(" state")?;
    match (status, action) {
        // The first two: the container is already as the command would make it.
        ("Stopped" | "Created", "stop" | "kill")
        | ("Paused", "pause")
        | (_, "delete" | "unpause" | "start") => None,
        ("Stopped" | "Created", _) => Some(format!("start it first: zun start {id}")),
        ("Paused", _) => Some(format!("unpause it first: zun unpause {id}")),
        ("Error" | "Dead", _) => Some(format!("`zun why {id}` says what happened")),
        _ => None,
    }
}

/// Whether a TLS connection failed because the answer to its first message was not TLS.
fn is_plain(cause: &reqwest::Error) -> bool {
    zun_common::chain(cause).contains("corrupt message")
}

/// Whether a TLS connection failed because of the service's certificate, and for this reason.
fn is_certificate(cause: &reqwest::Error, reason: &str) -> bool {
    let chain = zun_common::chain(cause);
    chain.contains("invalid peer certificate") && chain.contains(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_status_is_answered_with_the_command_that_changes_it() {
        for (message, next) in [
            ("Cannot execute container c1 in Stopped state", Some("start it first: zun start c1")),
            ("Cannot kill container c1 in Created state", None),
            ("Cannot pause container c1 in Paused state", None),
            ("Cannot pause container c1 in Stopped state", Some("start it first: zun start c1")),
            (
                "Cannot attach container c1 in Paused state",
                Some("unpause it first: zun unpause c1"),
            ),
            ("Cannot top container c1 in Error state", Some("`zun why c1` says what happened")),
            ("Cannot delete container c1 in Running state", None),
            (
                "A container with the name 'web' already exists.",
                Some("delete or rename that container, or use another name"),
            ),
        ] {
            let refused =
                ApiError::Refused { status: 409, message: message.to_owned(), request: None };
            assert_eq!(refused.advice().as_deref(), next, "{message}");
        }
    }
}
