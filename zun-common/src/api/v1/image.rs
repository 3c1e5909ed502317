//! Requests and responses about images on hosts.

use chrono::NaiveDateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::container::ImagePull;
use super::version::Link;
use crate::id::{HostName, ImageId};

/// An image on a host, in the API's responses. It was pulled through the API, or created from a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// UUID.
    pub uuid: ImageId,
    /// Links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// The engine's ID; null until the host has it.
    pub image_id: Option<String>,
    /// The repository, such as `cirros` or `registry:5000/team/app`.
    pub repo: String,
    /// A tag, or a digest such as `sha256:…`.
    pub tag: String,
    /// Size in bytes; null until the host has it.
    pub size: Option<u64>,
    /// The project.
    pub project_id: String,
    /// The host. Only administrators see it.
    pub host: Option<HostName>,
    /// The platform, if one was requested. Not in OpenStack Zun's API.
    pub platform: Option<String>,
    /// Whether the host has it. Not in OpenStack Zun's API.
    pub status: ImageStatus,
    /// Why a pull or a removal failed. Not in OpenStack Zun's API.
    pub status_reason: Option<String>,
    /// The layers of a pull that is in progress. Not in OpenStack Zun's API.
    pub image_pull: Option<ImagePull>,
    /// When it was first pulled, or created from a container. Not in OpenStack Zun's API.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub created_at: Option<NaiveDateTime>,
    /// Time of the last change. Not in OpenStack Zun's API.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub updated_at: Option<NaiveDateTime>,
}

/// The status of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImageStatus {
    /// The host pulls it, or will.
    Pulling,
    /// The host has it.
    Available,
    /// The pull failed.
    Error,
    /// The host removes it, or will.
    Deleting,
}

impl ImageStatus {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pulling, Self::Available, Self::Error, Self::Deleting];

    /// The text in responses and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pulling => "Pulling",
            Self::Available => "Available",
            Self::Error => "Error",
            Self::Deleting => "Deleting",
        }
    }
}

/// Response of `GET /v1/images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageList {
    /// One page.
    pub images: Vec<Image>,
    /// Address of the next page, if this one is full.
    pub next: Option<String>,
}

/// Body of `POST /v1/images`, as the client `zun` sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PullImage {
    /// The repository, which can have a tag or a digest.
    pub repo: String,
    /// The host; the only one if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// `always`, `ifnotpresent` or `never`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<String>,
    /// Platform, such as `linux/arm64`. Not in OpenStack Zun's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Name or ID of the login to the registry. Not in OpenStack Zun's API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
}

/// An image that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundImage {
    /// The name.
    pub name: String,
    /// The owner's description of it.
    pub description: String,
    /// Number of its stars.
    pub star_count: i64,
    /// Whether it is a Docker Official Image.
    pub is_official: bool,
}
