//! Subscribes to Docker's events about Zun's containers, and about images.

use bollard::models::EventMessage;
use bytes::{Buf as _, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream, Stream};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tracing::{debug, warn};
use zun_common::id::{ContainerId, EngineId};

use super::deadline::{QUICK, within};
use super::oom_events::OomEvents;
use super::{Api, DockerDriver, LABEL_CONTAINER};
use crate::driver::{DriverError, EngineEvent, EngineEventKind, ProcessExit};

/// The longest event that is accepted, in bytes.
const LONGEST_EVENT: usize = 4 << 20;
/// `{"type":["container"],"label":["zun.container"]}`
const OF_CONTAINERS: &str =
    "%7B%22type%22%3A%5B%22container%22%5D%2C%22label%22%3A%5B%22zun.container%22%5D%7D";
/// `{"type":["image"]}`
const OF_IMAGES: &str = "%7B%22type%22%3A%5B%22image%22%5D%7D";

impl DockerDriver {
    /// Subscribes to the events of Zun's containers.
    pub(super) async fn subscribe(&self) -> Result<BoxStream<'static, EngineEvent>, DriverError> {
        let Api { sizes, .. } = self.api().await?;
        let lines = self.events_with(OF_CONTAINERS).await?;
        let oom_events = self.oom_events.clone();
        let forget = move |oom_events: &OomEvents, engine: &EngineId| {
            oom_events.forget(engine);
            if let Some(sizes) = &sizes {
                sizes.remove(engine.as_str());
            }
        };
        let events = lines.filter_map(move |message| {
            let oom_at = message.as_ref().and_then(oom_time);
            if let Some(engine) = message.as_ref().and_then(destroyed) {
                forget(&oom_events, &engine);
            }
            let event = message.and_then(event);
            if let (Some(EngineEvent { engine, .. }), Some(at)) = (&event, oom_at) {
                oom_events.note(engine.clone(), at);
            }
            std::future::ready(event)
        });
        Ok(events.boxed())
    }

    /// Subscribes to changes of images.
    pub(super) async fn subscribe_to_images(&self) -> Result<BoxStream<'static, ()>, DriverError> {
        Ok(self.events_with(OF_IMAGES).await?.map(drop).boxed())
    }

    /// Subscribes to events. Docker answers before it has subscribed, so the request asks for the events since just
    /// before the request. Docker and the agent use the same clock. An item is `None` if it cannot be read.
    async fn events_with(
        &self,
        filters: &str,
    ) -> Result<impl Stream<Item = Option<EventMessage>> + use<>, DriverError> {
        let Api { version, .. } = self.api().await?;
        let now = Utc::now();
        let (seconds, nanos) = (now.timestamp(), now.timestamp_subsec_nanos());
        let path = format!("/v{version}/events?since={seconds}.{nanos:09}&filters={filters}");
        let body = within(QUICK, self.wire.get(&path))
            .await
            .map_err(|failure| failure.about_engine("subscribe to Docker's events"))?;
        let lines = Lines { body, held: BytesMut::new() };
        Ok(stream::unfold(lines, |mut lines| async {
            let line = lines.next().await?;
            Some((read(&line), lines))
        }))
    }
}

/// Splits an endless answer into lines.
struct Lines {
    body: Incoming,
    held: BytesMut,
}

impl Lines {
    async fn next(&mut self) -> Option<BytesMut> {
        loop {
            if let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
                let line = self.held.split_to(end);
                self.held.advance(1);
                return Some(line);
            }
            if self.held.len() > LONGEST_EVENT {
                warn!("an event from Docker is longer than 4 MiB; ending the subscription");
                return None;
            }
            match self.body.frame().await? {
                Ok(frame) => self.held.extend(frame.into_data().ok()),
                Err(error) => {
                    debug!(error = %error, "the event stream from Docker ended");
                    return None;
                }
            }
        }
    }
}

fn read(line: &[u8]) -> Option<EventMessage> {
    match serde_json::from_slice(line) {
        Ok(message) => Some(message),
        Err(error) => {
            warn!(error = %error, "cannot parse an event from Docker");
            None
        }
    }
}

/// Converts an event. `None` if it does not change a container, or if the container's name does not match its label.
fn event(message: EventMessage) -> Option<EngineEvent> {
    let at = time(&message);
    let action = message.action?;
    let what = what(&action)?;
    let actor = message.actor?;
    let attributes = actor.attributes?;
    let container: ContainerId = attributes.get(LABEL_CONTAINER)?.parse().ok()?;
    if ContainerId::from_engine_name(attributes.get("name")?) != Some(container) {
        return None;
    }
    let code = attributes.get("exitCode").and_then(|code| code.parse().ok());
    let exit = code.filter(|_| action == "die").map(|code| ProcessExit { code, at });
    Some(EngineEvent { container, engine: actor.id?.parse().ok()?, what, exit })
}

/// Returns the container that was removed, if this event is a removal. The name does not matter, because a rebuild removes
/// the old container under another name. All events are about containers with Zun's label.
fn destroyed(message: &EventMessage) -> Option<EngineId> {
    let is_removal = message.action.as_deref().and_then(what) == Some(EngineEventKind::Removed);
    let id = message.actor.as_ref().filter(|_| is_removal)?.id.as_ref()?;
    id.parse().ok()
}

/// The time of an out-of-memory event; `None` for other events.
fn oom_time(message: &EventMessage) -> Option<DateTime<Utc>> {
    (message.action.as_deref() == Some("oom")).then(|| time(message))
}

fn time(message: &EventMessage) -> DateTime<Utc> {
    message.time_nano.map_or_else(Utc::now, DateTime::from_timestamp_nanos)
}

/// Classifies an action. An unknown action of a newer Docker counts as a change.
fn what(action: &str) -> Option<EngineEventKind> {
    let verb = action.split(':').next().unwrap_or_default();
    match verb {
        "destroy" => Some(EngineEventKind::Removed),
        "start" => Some(EngineEventKind::Started),
        "attach" | "detach" | "resize" | "top" | "copy" | "export" | "commit" | "archive-path"
        | "extract-to-dir" => None,
        _ if verb.starts_with("exec_") => None,
        _ => Some(EngineEventKind::Changed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exec_and_console_actions_are_not_changes_but_unknown_actions_are() {
        for quiet in ["exec_create: sh -c ls", "exec_die", "exec_start: sh", "attach", "resize"] {
            assert_eq!(what(quiet), None, "{quiet}");
        }
        for loud in [
            "create",
            "die",
            "pause",
            "unpause",
            "oom",
            "stop",
            "health_status: healthy",
            "teleport",
        ] {
            assert_eq!(what(loud), Some(EngineEventKind::Changed), "{loud}");
        }
        assert_eq!(what("start"), Some(EngineEventKind::Started));
        assert_eq!(what("destroy"), Some(EngineEventKind::Removed));
    }

    #[test]
    fn an_exit_has_its_code_and_time() {
        let id = ContainerId::random();
        let line = |action: &str| {
            format!(
                r#"{{"Action":"{action}","timeNano":1500000000,"Actor":{{"ID":"{}","Attributes":
                    {{"zun.container":"{id}","name":"{}","exitCode":"137"}}}}}}"#,
                "ab".repeat(32),
                id.engine_name()
            )
        };
        let exit = |action| read(line(action).as_bytes()).and_then(event).expect("an event").exit;
        let at = DateTime::from_timestamp_nanos(1_500_000_000);
        assert_eq!(exit("die"), Some(ProcessExit { code: 137, at }));
        assert_eq!(exit("start"), None);
    }

    #[test]
    fn what_is_kept_about_a_container_is_forgotten_when_it_is_removed_by_any_name() {
        let (id, engine) = (ContainerId::random(), "ab".repeat(32));
        let line = |action: &str| {
            format!(
                r#"{{"Action":"{action}","Actor":{{"ID":"{engine}",
                    "Attributes":{{"zun.container":"{id}","name":"{}.old"}}}}}}"#,
                id.engine_name()
            )
        };
        let message = |action| read(line(action).as_bytes()).expect("an event");
        assert_eq!(destroyed(&message("destroy")), engine.parse().ok());
        assert_eq!(destroyed(&message("die")), None);
        assert!(event(message("destroy")).is_none(), "it is no container of Zun's");
    }

    #[test]
    fn a_container_is_ours_only_if_its_name_matches_the_label() {
        let id = ContainerId::random();
        let line = |name: &str| {
            let engine = "ab".repeat(32);
            format!(
                r#"{{"Action":"die","Actor":{{"ID":"{engine}",
                    "Attributes":{{"zun.container":"{id}","name":"{name}"}}}}}}"#
            )
        };
        let parsed = |line: &str| read(line.as_bytes()).and_then(event);
        assert!(parsed(&line(&id.engine_name())).is_some());
        assert!(parsed(&line("forged")).is_none());
        assert!(read(b"not json").is_none());
    }
}
