//! Requests and responses about volumes and networks of hosts. Volumes are not in OpenStack Zun's API, and its networks
//! are Neutron's.

use chrono::NaiveDateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::version::Link;
use crate::id::{ContainerId, HostName, ResourceId};

/// A volume or a network in the API's responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// UUID.
    pub uuid: ResourceId,
    /// Links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Name, unique in its project.
    pub name: String,
    /// The project.
    pub project_id: String,
    /// The user who created it.
    pub user_id: String,
    /// The host, once a container has used it. Only administrators see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Subnet of a network, if one was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Whether connections between a network and the outside are blocked; absent for volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<bool>,
    /// The containers that use it.
    pub containers: Vec<ContainerId>,
    /// Time of the creation.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub created_at: Option<NaiveDateTime>,
}

/// Response of `GET /v1/volumes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeList {
    /// One page.
    pub volumes: Vec<Resource>,
    /// Address of the next page, if this one is full.
    pub next: Option<String>,
}

/// Response of `GET /v1/networks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NetworkList {
    /// One page.
    pub networks: Vec<Resource>,
    /// Address of the next page, if this one is full.
    pub next: Option<String>,
}

/// Body of `POST /v1/volumes` and `POST /v1/networks`, as the client `zun` sends it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CreateResource {
    /// Name.
    pub name: String,
    /// Addresses of a network, such as `10.5.0.0/24`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Whether containers of a network are cut off from everything outside it (Docker: internal).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
}

/// A mount in requests and responses: OpenStack Zun's fields, and `read_only`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MountField {
    /// `volume`, `bind` (a file with this content) or `host` (a path of the host; not in OpenStack Zun's API).
    #[serde(rename = "type")]
    pub kind: String,
    /// The volume's name, the file's content in base64, or the path of the host. Absent in responses for a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The path in the container.
    pub destination: String,
    /// Whether the container can only read it. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
}

/// A network of a container in requests: OpenStack Zun's fields, and `aliases`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetField {
    /// Name or ID of a network, or `none` or `host`.
    pub network: String,
    /// The container's address.
    #[serde(rename = "v4-fixed-ip", default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Additional names of the container in the network. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}
