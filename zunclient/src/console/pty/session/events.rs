//! Notices for the user about events of a session.

use zun_common::pty::{SessionEvent, Viewer, ViewerMode};
use zun_common::recording::GRACE_SECONDS;
use zun_common::signal;

/// Returns the notice about an event, if the user needs one.
pub(super) fn notice(event: &SessionEvent) -> Option<String> {
    match event {
        SessionEvent::Reattached => {
            Some("the container engine has restarted: output may be missing here".to_owned())
        }
        SessionEvent::SignalUnconfirmed { name, .. } => {
            signal::number(name)?;
            Some(format!("{name} may not have arrived: the console gate ended while sending it"))
        }
        SessionEvent::Recording { on, required } => Some(recording((*on, *required))),
        SessionEvent::ViewerJoined { viewer, .. } => Some(typist(viewer, "joined")?),
        SessionEvent::ViewerLeft { viewer, .. } => Some(typist(viewer, "left")?),
        SessionEvent::Viewers { .. } | SessionEvent::SizeOwner { .. } | SessionEvent::Other => None,
    }
}

/// A client that may type has come or gone. Those that only watch are not worth an interruption.
fn typist(viewer: &Viewer, what: &str) -> Option<String> {
    match viewer.mode {
        ViewerMode::ReadWrite => {
            Some(format!("client {} (may type) {what} this session", viewer.id))
        }
        ViewerMode::ReadOnly | ViewerMode::Other => None,
    }
}

/// Whether the session is recorded, and whether it must be.
fn recording(state: (bool, bool)) -> String {
    match state {
        (true, _) => "this session is recorded".to_owned(),
        (false, true) => format!(
            "the host cannot record this session: input is held, and the session ends if that lasts {GRACE_SECONDS} seconds"
        ),
        (false, false) => "the host cannot record this session at present".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn known_events_have_a_notice_and_others_none() {
        let shown = |event: serde_json::Value| {
            serde_json::from_value(event).ok().and_then(|event| notice(&event))
        };
        assert!(shown(json!({ "type": "reattached" })).is_some());
        let recorded = |on: bool, required: bool| {
            shown(json!({ "type": "recording", "on": on, "required": required }))
        };
        assert_eq!(recorded(true, true).as_deref(), Some("this session is recorded"));
        assert!(recorded(false, true).is_some_and(|words| words.contains("30 seconds")));
        assert!(recorded(false, false).is_some());
        let viewer = |what: &str, mode: &str| {
            let viewer = json!({ "id": 6, "mode": mode, "grant": "g6" });
            shown(json!({ "type": what, "viewer": viewer, "viewers": 2 }))
        };
        let joined = "client 6 (may type) joined this session";
        assert_eq!(viewer("viewer_joined", "read_write").as_deref(), Some(joined));
        let left = "client 6 (may type) left this session";
        assert_eq!(viewer("viewer_left", "read_write").as_deref(), Some(left));
        assert_eq!(viewer("viewer_joined", "read_only"), None);
        let signal = |name: &str| shown(json!({ "type": "signal_in_doubt", "name": name }));
        assert!(signal("SIGTERM").is_some_and(|words| words.contains("SIGTERM")));
        assert_eq!((signal("\u{1b}[2J"), shown(json!({ "type": "newer" }))), (None, None));
    }
}
