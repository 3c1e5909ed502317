//! The error body. OpenStack's clients index `errors[0]["title"]` without asking, so it is never empty.

use serde::{Deserialize, Serialize};

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiProblem {
    /// The request, as in the header `x-openstack-request-id`.
    pub request_id: String,
    /// A machine's word, such as `container.container-not-found`.
    pub code: String,
    /// The HTTP status.
    pub status: u16,
    /// The words for a person.
    pub title: String,
    /// The same, or more.
    pub detail: String,
    /// Never used by Zun; always there.
    pub links: Vec<String>,
}

/// The body of every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// One or more errors.
    pub errors: Vec<ApiProblem>,
}
