//! The error body. OpenStack's clients read `errors[0]["title"]` unchecked, so the list is never empty.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiProblem {
    /// ID of the request, as in the header `x-openstack-request-id`.
    pub request_id: String,
    /// Code for programs, such as `container.container-not-found`.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// Human-readable message.
    pub title: String,
    /// The same message.
    pub detail: String,
    /// Always present and empty, as in OpenStack Zun.
    pub links: Vec<String>,
}

/// Body of every response that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// One or more errors.
    pub errors: Vec<ApiProblem>,
}
