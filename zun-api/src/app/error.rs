//! Why a request fails. `http/error.rs` maps each error to a status, a code and a body.

use zun_common::bus::CallError;
use zun_common::id::{ContainerId, HostName};
use zun_common::resource::ResourceKind;
use zun_common::rpc::Problem;
use zun_common::rpc::files::LARGEST_ARCHIVE;
use zun_common::status::{Action, Status};

use super::Permission;
use crate::auth::{KeystoneError, Refusal};
use crate::ca::CaError;
use crate::db::DbError;
use crate::secrets::UnsealError;
use crate::wait;

/// A field of a request that is missing or not valid. The rule continues the sentence `It must be …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidField {
    #[error("Missing field '{field}'. It must be {rule}.")]
    Missing { field: String, rule: String },
    /// The value is truncated to 80 characters.
    #[error("Invalid input for field '{field}'. Value: '{value}'. It must be {rule}.")]
    Value { field: String, value: String, rule: String },
}

impl InvalidField {
    /// The field has a value that is not valid.
    pub(crate) fn new(field: &str, value: &str, rule: impl Into<String>) -> Self {
        let value = value.chars().take(80).collect();
        Self::Value { field: field.to_owned(), value, rule: rule.into() }
    }

    /// The field is one of an object.
    pub(crate) fn within(self, object: &str) -> Self {
        let name = |field: String| format!("{object}.{field}");
        match self {
            Self::Missing { field, rule } => Self::Missing { field: name(field), rule },
            Self::Value { field, value, rule } => Self::Value { field: name(field), value, rule },
        }
    }

    /// The field is required.
    pub(crate) fn missing(field: &str, rule: impl Into<String>) -> Self {
        Self::Missing { field: field.to_owned(), rule: rule.into() }
    }
}

/// Why a request is not served in this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotServed {
    /// The path has other methods.
    #[error("The method {method} is not allowed here. Use {allow}.")]
    Method { method: String, allow: String },
    /// OpenStack Zun's wording.
    #[error("Version {0} was requested but the requested API is not supported for this version.")]
    Route(String),
    /// OpenStack Zun's wording.
    #[error(
        "Invalid param {field} because current request version is {version}. {field} is only supported from version {since}"
    )]
    Field { field: String, version: String, since: String },
    #[error(
        "The archive is larger than {} MiB. Use `zun cp`, which connects to the host directly.",
        LARGEST_ARCHIVE >> 20
    )]
    LargeArchive,
}

/// An error. Its message is for the caller; its source is for the log.
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
    #[error(
        "Keystone does not accept this user, password or project. Check them, and their domains."
    )]
    WrongCredentials,
    #[error(
        "The header {header} is '{value}', which is another site. With auth.strategy `none`, zun-api serves only its own pages at loopback addresses. Use 127.0.0.1 or localhost; behind a proxy, set http.public_endpoint."
    )]
    ForeignSite {
        /// The header.
        header: &'static str,
        /// Its value.
        value: String,
    },
    #[error("The token is not for a project. Request a token for a project and try again.")]
    NoProject,
    #[error("The identity service does not answer; try again in a second.")]
    IdentityService(#[source] KeystoneError),
    #[error("Policy doesn't allow {} to be performed.", .0.policy())]
    Forbidden(Permission),
    #[error("Policy doesn't allow {0} to be performed.")]
    ForbiddenVerb(String),
    #[error("Not Found")]
    RouteNotFound,
    #[error(transparent)]
    NotServed(#[from] NotServed),
    #[error("Container {0} could not be found.")]
    ContainerNotFound(String),
    #[error("Action {0} could not be found.")]
    ActionNotFound(String),
    /// The run is so old that it was purged.
    #[error(
        "Run {run} of container {container} is no longer stored: zun-api keeps the newest 20 runs."
    )]
    RunNotFound {
        /// The container.
        container: ContainerId,
        /// The number of the run.
        run: i64,
    },
    #[error("{} {ident} could not be found.", title(*kind))]
    ResourceNotFound {
        /// What it would be.
        kind: ResourceKind,
        /// Its ID or name.
        ident: String,
    },
    #[error("Multiple {}s exist with the name '{name}'. Please use the uuid instead.", kind.as_str())]
    AmbiguousResource {
        /// What they are.
        kind: ResourceKind,
        /// Their name.
        name: String,
    },
    #[error("A {} with the name '{name}' already exists in the project.", kind.as_str())]
    ResourceNameTaken {
        /// What it is.
        kind: ResourceKind,
        /// Its name.
        name: String,
    },
    #[error("{} {name} is used by containers ({count}): delete them first.", title(*kind))]
    ResourceInUse {
        /// What it is.
        kind: ResourceKind,
        /// Its ID or name.
        name: String,
        /// By how many containers, also stopped ones.
        count: usize,
    },
    #[error("Image {0} could not be found.")]
    ImageNotFound(String),
    #[error("No host is up.")]
    NoHostUp,
    #[error("Grant {0} could not be found: it was not used at a console gate, or it has ended.")]
    GrantNotFound(String),
    #[error("Recording {0} could not be found.")]
    RecordingNotFound(String),
    #[error("{0}")]
    NotRecorded(String),
    #[error("Registry {0} could not be found.")]
    RegistryNotFound(String),
    #[error("Multiple registries exist with the name '{0}'. Please use the registry uuid instead.")]
    AmbiguousRegistry(String),
    #[error("A registry with the name '{0}' already exists in the project.")]
    RegistryNameTaken(String),
    /// The project has as many as it can have.
    #[error("The project has {limit} {what} already, and cannot have more: delete one first.")]
    TooMany {
        /// Of what, in the plural.
        what: &'static str,
        /// How many.
        limit: i64,
    },
    #[error("a secret in the database cannot be decrypted")]
    Secret(#[source] UnsealError),
    #[error("Marker {0} could not be found.")]
    MarkerNotFound(ContainerId),
    #[error("Host {0} could not be found.")]
    HostNotFound(String),
    #[error("Host {host} has no stray container {id}.")]
    StrayNotFound { host: HostName, id: String },
    #[error("The quota of project {0} could not be found.")]
    QuotaNotFound(String),
    #[error("Quota class {0} could not be found. There is only the class `default`.")]
    QuotaClassNotFound(String),
    #[error("Service {binary} on host {host} could not be found.")]
    ServiceNotFound { host: String, binary: String },
    #[error("Cannot delete the service on host {host}: {why}.")]
    ServiceInUse { host: HostName, why: String },
    #[error(
        "Multiple containers exist with the name '{0}'. Please use the container uuid instead."
    )]
    AmbiguousName(String),
    #[error(
        "Several {what} have IDs that begin with '{beginning}': {candidates}. Please use more characters."
    )]
    AmbiguousId { what: &'static str, beginning: String, candidates: String },
    #[error("A container with the name '{0}' already exists.")]
    NameTaken(String),
    #[error(
        "The idempotency key '{key}' was used for another request: {kind} container {id}. Use a new key for each request."
    )]
    KeyReused { key: String, kind: &'static str, id: ContainerId },
    #[error("Cannot {action} container {id} in {status} state")]
    WrongStatus { action: Action, id: ContainerId, status: Status },
    #[error("Cannot rebuild container {id}: {why}.")]
    CannotRebuild { id: ContainerId, why: &'static str },
    #[error(
        "Cannot rename container {id}: in its network, other containers find it as '{name}', and would not find the new name. \
         Create a container with the new name instead."
    )]
    CannotRename { id: ContainerId, name: String },
    #[error("Cannot {action} container {id}: it was never scheduled to a host")]
    NotScheduled { action: Action, id: ContainerId },
    #[error("The host does not have enough free resources for these limits. {0}")]
    InsufficientResources(String),
    #[error("Host {host} is not available: {why}")]
    HostDown { host: HostName, why: String },
    #[error(
        "Invalid input for field 'protocols'. It must contain the supported console protocol '{0}'."
    )]
    NoCommonProtocol(&'static str),
    /// OpenStack Zun's wording.
    #[error("Missing interactive flag: the container must be created with `interactive`.")]
    NotInteractive,
    #[error("{what} is not available: the administrator has not set `{setting}` for zun-api.")]
    NotConfigured { what: &'static str, setting: &'static str },
    #[error("{0}")]
    NotSupported(&'static str),
    #[error("No console access on host {host}: {why}")]
    ConsoleUnavailable { host: HostName, why: String },
    #[error("host {host} refused the operation")]
    Refused {
        host: HostName,
        #[source]
        problem: Problem,
    },
    #[error("the agent on host {host} did not carry out the request")]
    Agent {
        host: HostName,
        #[source]
        cause: CallError,
    },
    #[error("the CA did not sign the certificate")]
    Ca(#[from] CaError),
    #[error("a database operation failed")]
    Db(#[from] DbError),
    #[error("Too many requests are waiting for containers; try again in a second.")]
    TooManyWaiters(#[from] wait::TooManyWaiters),
    #[error("Too many streams of events are open; try again in a second.")]
    TooManyStreams,
    #[error("Too many concurrent requests; try again in a second.")]
    TooManyRequests,
    #[error("zun-api is shutting down; try again in a second.")]
    ShuttingDown,
    #[error("The body is larger than {0} bytes.")]
    BodyTooLarge(usize),
    #[error("The request line and headers are larger than {0} bytes.")]
    HeadersTooLarge(usize),
    #[error("The body did not arrive within {0} seconds.")]
    BodyTimeout(u64),
    #[error("The content type must be application/json.")]
    UnsupportedMediaType,
    #[error("{0}")]
    UnsupportedVersion(String),
}

impl AppError {
    /// The error is about a field of an object.
    pub(crate) fn within(self, object: &str) -> Self {
        if let Self::InvalidField(invalid) = self {
            return Self::InvalidField(invalid.within(object));
        }
        if let Self::UnknownField(names) = self {
            return Self::UnknownField(format!("{object}.{names}"));
        }
        if let Self::NotServed(NotServed::Field { field, version, since }) = self {
            let field = format!("{object}.{field}");
            return NotServed::Field { field, version, since }.into();
        }
        self
    }
}

const fn title(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Volume => "Volume",
        ResourceKind::Network => "Network",
    }
}

impl From<InvalidField> for AppError {
    fn from(invalid: InvalidField) -> Self {
        Self::InvalidField(invalid)
    }
}

impl From<Refusal> for AppError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoValidToken => Self::Unauthenticated,
            Refusal::NoProject => Self::NoProject,
            Refusal::Unknown(cause) => Self::IdentityService(cause),
            Refusal::WrongCredentials => Self::WrongCredentials,
            Refusal::TooManySignIns => Self::TooManyRequests,
            Refusal::NoPasswords => Self::RouteNotFound,
            Refusal::ForeignSite { header, value } => Self::ForeignSite { header, value },
        }
    }
}
