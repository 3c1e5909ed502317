//! Events: what has happened to containers, images, volumes and networks. Not in OpenStack Zun's API; the words are
//! Docker's.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::Health;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// A container.
    Container,
    /// An image on a host.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
}

impl EventType {
    /// All types.
    pub const ALL: [Self; 4] = [Self::Container, Self::Image, Self::Volume, Self::Network];

    /// The word in messages and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
        }
    }
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventAction {
    /// It was created.
    Create,
    /// A run of the container began.
    Start,
    /// A run of the container ended, or could not begin.
    Die,
    /// A process of the container was killed because the container ran out of memory.
    Oom,
    /// The container was stopped on request.
    Stop,
    /// The container was sent a signal on request.
    Kill,
    /// The container was restarted on request, or because it was unhealthy.
    Restart,
    /// The container was replaced by a new one from an image.
    Rebuild,
    /// The container was paused.
    Pause,
    /// The container was unpaused.
    Unpause,
    /// The container has another name.
    Rename,
    /// The container has other limits.
    Update,
    /// The container's health status has changed.
    HealthStatus(Health),
    /// It was removed.
    Destroy,
    /// The image was pulled on request.
    Pull,
    /// The image was deleted.
    Delete,
}

impl EventAction {
    /// The words by which events are selected.
    pub const NAMES: [&str; 16] = [
        "create",
        "start",
        "die",
        "oom",
        "stop",
        "kill",
        "restart",
        "rebuild",
        "pause",
        "unpause",
        "rename",
        "update",
        "health_status",
        "destroy",
        "pull",
        "delete",
    ];

    /// The word in messages and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Start => "start",
            Self::Die => "die",
            Self::Oom => "oom",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Rebuild => "rebuild",
            Self::Pause => "pause",
            Self::Unpause => "unpause",
            Self::Rename => "rename",
            Self::Update => "update",
            Self::HealthStatus(Health::Starting) => "health_status: starting",
            Self::HealthStatus(Health::Healthy) => "health_status: healthy",
            Self::HealthStatus(Health::Unhealthy) => "health_status: unhealthy",
            Self::Destroy => "destroy",
            Self::Pull => "pull",
            Self::Delete => "delete",
        }
    }
}

/// An event in `GET /v1/events`, in the `data` of a server-sent event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When zun-api recorded it, by the clock of its database.
    #[schemars(with = "String")]
    pub time: DateTime<Utc>,
    /// `container`, `image`, `volume` or `network`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What has happened, such as `start`.
    pub action: String,
    /// The object that it is about.
    pub actor: Actor,
    /// The project.
    pub project_id: String,
    /// The host, if it is about one. Only administrators see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// The object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Actor {
    /// The UUID.
    pub id: String,
    /// `name` and `image`, the labels of a container, and what belongs to the action, such as `exitCode`.
    pub attributes: BTreeMap<String, String>,
}

/// The last server-sent event of a stream, `event: end`: why the service ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventsEnd {
    /// Why.
    pub reason: EventsEndReason,
}

/// Why the service ends a stream of events. After all but `until`, a client can connect again with `Last-Event-ID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventsEndReason {
    /// All events until the requested time were sent.
    Until,
    /// The service shuts down.
    Closing,
    /// The stream is an hour old: the client must authenticate again.
    Expired,
    /// The client did not read for 30 seconds.
    Slow,
    /// The database failed.
    Failed,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_begins_with_a_name_by_which_it_is_selected() {
        for action in [EventAction::Create, EventAction::HealthStatus(Health::Healthy)] {
            let name = action.as_str().split(':').next().expect("a name");
            assert!(EventAction::NAMES.contains(&name), "{name}");
        }
    }

    #[test]
    fn the_reason_of_a_newer_service_is_unknown() {
        let end: EventsEnd = serde_json::from_str(r#"{"reason":"tired"}"#).expect("an end");
        assert_eq!(end.reason, EventsEndReason::Unknown);
    }
}
