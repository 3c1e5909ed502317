//! Why a request is refused. `http/error.rs` turns each into a status, a code and a body.

use zun_common::bus::CallError;
use zun_common::id::{ContainerId, HostName};
use zun_common::status::{Action, Status};

use super::Permission;
use crate::ca::CaError;
use crate::db::DbError;
use crate::wait::Crowded;

/// A value of a request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid input for field '{field}'. Value: '{value}'. It must be {rule}.")]
pub(crate) struct InvalidField {
    pub(crate) field: String,
    /// Cut to 80 characters.
    pub(crate) value: String,
    /// What it must be.
    pub(crate) rule: String,
}

impl InvalidField {
    pub(crate) fn new(field: &str, value: &str, rule: impl Into<String>) -> Self {
        Self { field: field.to_owned(), value: value.chars().take(80).collect(), rule: rule.into() }
    }
}

/// A refusal. Its words are for the caller; causes are for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    #[error("{0}")]
    InvalidField(InvalidField),
    #[error("{0}")]
    Malformed(String),
    #[error("Unknown parameters: {0}")]
    UnknownParameters(String),
    #[error("Additional properties are not allowed ('{0}' was unexpected)")]
    UnknownField(String),
    #[error("The request you have made requires authentication.")]
    Unauthenticated,
    #[error("Policy doesn't allow {} to be performed.", .0.policy())]
    Forbidden(Permission),
    #[error("Not Found")]
    RouteNotFound,
    #[error("Container {0} could not be found.")]
    ContainerNotFound(String),
    #[error("Marker {0} could not be found.")]
    MarkerNotFound(ContainerId),
    #[error("Host {0} could not be found.")]
    HostNotFound(String),
    #[error(
        "Multiple containers exist with the name '{0}'. Please use the container uuid instead."
    )]
    AmbiguousName(String),
    #[error("A container with the name '{0}' already exists.")]
    NameTaken(String),
    #[error("Cannot {action} container {id} in {status} state")]
    WrongStatus { action: Action, id: ContainerId, status: Status },
    #[error("Cannot {action} container {id}: it was never placed on a host")]
    NotScheduled { action: Action, id: ContainerId },
    #[error("The container's host cannot give it so much. {0}")]
    InsufficientResources(String),
    #[error("Host {host} is down: {why}")]
    HostDown { host: HostName, why: String },
    #[error("The client speaks none of the offered console protocols: {0}")]
    NoCommonProtocol(&'static str),
    #[error("{what} is not offered here: the setting `{setting}` is not set")]
    NotConfigured { what: &'static str, setting: &'static str },
    #[error("Host {host} offers no console: {why}")]
    ConsoleUnavailable { host: HostName, why: String },
    #[error("the agent of host {host} did not do it")]
    Agent {
        host: HostName,
        #[source]
        cause: CallError,
    },
    #[error("the certificate authority did not sign")]
    Ca(#[from] CaError),
    #[error("the database failed")]
    Db(#[from] DbError),
    #[error("Too many requests wait already; try again in a second.")]
    TooManyWaiters(#[from] Crowded),
    #[error("Too many requests at a time; try again in a second.")]
    TooManyRequests,
    #[error("The service is stopping; try again in a second.")]
    ShuttingDown,
    #[error("The body is larger than {0} bytes.")]
    BodyTooLarge(usize),
    #[error("The request line and headers are larger than {0} bytes.")]
    HeadersTooLarge(usize),
    #[error("The body did not arrive in {0} seconds.")]
    BodyTimeout(u64),
    #[error("The content type must be application/json.")]
    UnsupportedMediaType,
    #[error("{0}")]
    UnsupportedVersion(String),
}

impl From<InvalidField> for AppError {
    fn from(invalid: InvalidField) -> Self {
        Self::InvalidField(invalid)
    }
}
