//! Responses about the operations on a container, in OpenStack Zun's format of container actions.

use chrono::NaiveDateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The operations on a container, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerActions {
    /// The operations, without events.
    #[serde(rename = "containerActions")]
    pub actions: Vec<ContainerAction>,
}

/// One operation on a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerActionDetail {
    /// The operation, with events.
    #[serde(rename = "containerAction")]
    pub action: ContainerAction,
}

/// An accepted operation on a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerAction {
    /// `create`, `start`, `stop`, `reboot`, `rebuild`, `pause`, `unpause`, `kill`, `update`, `delete`, `attach` or `execute`.
    pub action: String,
    /// The container.
    pub container_uuid: String,
    /// The ID of the request that started it.
    pub request_id: String,
    /// The user who requested it.
    pub user_id: String,
    /// The container's project.
    pub project_id: String,
    /// When it was accepted.
    #[serde(with = "iso")]
    #[schemars(with = "Option<String>")]
    pub start_time: Option<NaiveDateTime>,
    /// When it ended; null while it is open.
    #[serde(with = "iso", default)]
    #[schemars(with = "Option<String>")]
    pub finish_time: Option<NaiveDateTime>,
    /// Why it did not succeed; null while it is open and after it succeeded.
    pub message: Option<String>,
    /// The run that a start, a reboot or a rebuild began. Not in OpenStack Zun's API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
    /// Its parts. Absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<ActionEvent>>,
}

/// A part of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ActionEvent {
    /// The part, such as `compute_start`.
    pub event: String,
    /// When it began.
    #[serde(with = "iso")]
    #[schemars(with = "Option<String>")]
    pub start_time: Option<NaiveDateTime>,
    /// When it ended.
    #[serde(with = "iso", default)]
    #[schemars(with = "Option<String>")]
    pub finish_time: Option<NaiveDateTime>,
    /// `Success`, `Error`, `Expired` or `Unknown`; null while it is open.
    pub result: Option<String>,
    /// Always null. Part of OpenStack Zun's format.
    pub traceback: Option<String>,
}

/// Times of actions: `YYYY-MM-DDTHH:MM:SS.ffffff`, in UTC, without a zone.
mod iso {
    use chrono::NaiveDateTime;
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

    const FORMAT: &str = "%Y-%m-%dT%H:%M:%S%.6f";
    const READ: &str = "%Y-%m-%dT%H:%M:%S%.f";

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(
        time: &Option<NaiveDateTime>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => out.collect_str(&time.format(FORMAT)),
            None => out.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        input: D,
    ) -> Result<Option<NaiveDateTime>, D::Error> {
        Option::<String>::deserialize(input)?
            .map(|text| NaiveDateTime::parse_from_str(&text, READ).map_err(D::Error::custom))
            .transpose()
    }
}
