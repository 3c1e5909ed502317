//! Notices for the user about events of a session.

use zun_common::pty::SessionEvent;
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
        SessionEvent::Viewers { .. }
        | SessionEvent::ViewerJoined { .. }
        | SessionEvent::ViewerLeft { .. }
        | SessionEvent::SizeOwner { .. }
        | SessionEvent::Other => None,
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
        let signal = |name: &str| shown(json!({ "type": "signal_in_doubt", "name": name }));
        assert!(signal("SIGTERM").is_some_and(|words| words.contains("SIGTERM")));
        assert_eq!((signal("\u{1b}[2J"), shown(json!({ "type": "newer" }))), (None, None));
    }
}
