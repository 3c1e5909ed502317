//! Responses about a container's files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Response of `GET /v1/containers/{id}/get_archive`, in OpenStack Zun's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerArchive {
    /// The tar archive in base64. Before 1.25, each character is a byte.
    pub data: String,
    /// What it is an archive of.
    pub stat: ArchiveStat,
}

/// Facts about a file or directory, in Docker's format.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ArchiveStat {
    /// The last part of its path.
    pub name: String,
    /// Its size in bytes.
    pub size: i64,
    /// Its mode, in the encoding of Go's `os.FileMode`.
    pub mode: u32,
    /// When it was last changed, in RFC 3339.
    pub mtime: Option<String>,
    /// The target, if it is a symbolic link.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

/// Response of `GET /v1/containers/{id}/changes`. Not in OpenStack Zun's API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerChanges {
    /// The files and directories that differ from the image. At most 100,000.
    pub changes: Vec<FileChange>,
    /// Whether there are more.
    pub truncated: bool,
}

/// A file or directory that differs from the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// Its path in the container.
    pub path: String,
    /// How it differs.
    pub kind: ChangeKind,
}

/// How a file or directory differs from the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Its content or mode differs from the image. A directory also counts as changed if something in it does.
    Changed,
    /// The image does not have it.
    Added,
    /// Only the image has it.
    Deleted,
}

/// Response of `POST /v1/containers/{id}/commit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommittedImage {
    /// The engine's ID of the image. OpenStack Zun returns Glance's.
    pub uuid: String,
    /// The image name to use for new containers, in the same project and on the same host. Not in OpenStack Zun's API.
    pub image: String,
}
