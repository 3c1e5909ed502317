//! The version documents at `/` and `/v1`.

use serde::{Deserialize, Serialize};

/// A link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Where to.
    pub href: String,
    /// What for: `self`, `bookmark`, `describedby`.
    pub rel: String,
    /// The media type, where it is told.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

/// One version of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its name, `v1`.
    pub id: String,
    /// Where it is.
    pub links: Vec<Link>,
    /// `CURRENT`.
    pub status: String,
    /// The newest microversion.
    pub max_version: String,
    /// The oldest microversion.
    pub min_version: String,
}

/// The document at `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The service's name.
    pub name: String,
    /// What it is.
    pub description: String,
    /// All versions.
    pub versions: Vec<Version>,
    /// The one to use.
    pub default_version: Version,
}
