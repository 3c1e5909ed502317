//! The version documents at `/` and `/v1`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Address.
    pub href: String,
    /// Relation: `self`, `bookmark` or `describedby`.
    pub rel: String,
    /// Media type, if known.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// One version of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// ID, `v1`.
    pub id: String,
    /// Its links.
    pub links: Vec<Link>,
    /// Always `CURRENT`.
    pub status: String,
    /// Newest microversion.
    pub max_version: String,
    /// Oldest microversion.
    pub min_version: String,
}

/// The document at `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Root {
    /// Name of the service.
    pub name: String,
    /// Description of the service.
    pub description: String,
    /// All versions.
    pub versions: Vec<Version>,
    /// The version that clients should use.
    pub default_version: Version,
}
