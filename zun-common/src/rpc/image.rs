//! Reports about explicit image pulls, and searches.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Call, Done};
use crate::api::v1::container::ImagePull;
use crate::id::{Epoch, HostName, OperationId};

/// Reports an image that an open operation pulls. The report of a pull that has ended is repeated until zun-api has
/// stored it; those of its progress are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportImage {
    /// The host. It must be the sender.
    pub host: HostName,
    /// The agent's epoch.
    pub epoch: Epoch,
    /// The operation.
    pub operation: OperationId,
    /// How far the pull is.
    pub state: ImageState,
}

impl Call for ReportImage {
    const METHOD: &'static str = "image.report";
    const DEADLINE: Duration = Duration::from_secs(10);
    type Reply = Done;
}

/// How far a pull is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageState {
    /// Its layers.
    Pulling(ImagePull),
    /// The host has the image.
    Present(PulledImage),
}

/// An image that a host has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulledImage {
    /// The engine's ID of the image, such as `sha256:…`.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Searches Docker's registry for images, from a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchImages {
    /// The text to search.
    pub term: String,
}

impl Call for SearchImages {
    const METHOD: &'static str = "image.search";
    const DEADLINE: Duration = Duration::from_secs(20);
    type Reply = FoundImages;
}

/// The images that a search found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundImages {
    /// At most 25.
    pub images: Vec<FoundImage>,
}

pub use crate::api::v1::image::FoundImage;
