//! Queries about a container's files. Large files do not travel over the bus: clients copy them directly.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Call, Done};
use crate::id::ContainerId;

/// The size of the largest archive that travels over the bus, in bytes.
pub const LARGEST_ARCHIVE: usize = 4 << 20;

/// Returns a file or directory of a container as a tar archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetArchive {
    /// The container.
    pub container: ContainerId,
    /// The path in the container.
    pub path: String,
}

impl Call for GetArchive {
    const METHOD: &'static str = "container.get_archive";
    const DEADLINE: Duration = Duration::from_secs(30);
    type Reply = Archive;
}

/// A tar archive of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The archive: at most [`LARGEST_ARCHIVE`] bytes.
    #[serde(with = "super::exec::base64_bytes")]
    pub data: Vec<u8>,
    /// What it is an archive of.
    pub stat: PathStat,
}

/// Facts about a file or directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    /// The last part of its path.
    pub name: String,
    /// Its size in bytes.
    pub size: i64,
    /// Its mode, in the encoding of Go's `os.FileMode`, as Docker reports it.
    pub mode: u32,
    /// When it was last changed.
    pub modified: Option<DateTime<Utc>>,
    /// The target, if it is a symbolic link.
    pub link_target: String,
}

/// Unpacks a tar archive into a directory of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutArchive {
    /// The container.
    pub container: ContainerId,
    /// The directory in the container.
    pub path: String,
    /// The archive: at most [`LARGEST_ARCHIVE`] bytes.
    #[serde(with = "super::exec::base64_bytes")]
    pub data: Vec<u8>,
}

impl Call for PutArchive {
    const METHOD: &'static str = "container.put_archive";
    const DEADLINE: Duration = Duration::from_secs(30);
    type Reply = Done;
}

/// Lists what differs between the files of a container and those of its image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListChanges {
    /// The container.
    pub container: ContainerId,
}

impl Call for ListChanges {
    const METHOD: &'static str = "container.changes";
    const DEADLINE: Duration = Duration::from_secs(30);
    type Reply = Changes;
}

/// The files that differ from the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// At most 100,000 files and directories.
    pub changes: Vec<FileChange>,
    /// Whether there are more.
    #[serde(rename = "cut")]
    pub truncated: bool,
}

pub use crate::api::v1::files::{ChangeKind, FileChange};

/// Creates an image from a container's files on its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitContainer {
    /// The container.
    pub container: ContainerId,
    /// The repository of the image, without a tag.
    pub repository: String,
    /// The tag.
    pub tag: String,
}

impl Call for CommitContainer {
    const METHOD: &'static str = "container.commit";
    const DEADLINE: Duration = Duration::from_mins(1);
    const ONCE: bool = true;
    type Reply = Committed;
}

/// An image that was created from a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// The engine's ID of the image.
    pub image: String,
    /// Its size in bytes; `None` from an older agent, or if the engine does not report it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}
