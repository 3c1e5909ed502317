//! Events of a session.

use serde::{Deserialize, Serialize};

use super::Size;

/// The number of no client.
pub const NOBODY: u64 = 0;

/// Channel 20: something has happened that a client may show. The field `type` says what, such as
/// `{"type":"viewer_joined","viewer":{"id":2,"mode":"read_only","grant":"g2"},"viewers":2}`.
///
/// A client ignores events that it does not know ([`SessionEvent::Other`]), and fields that it does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SessionEvent {
    /// Sent first on each connection: this client's number, and how many clients the process has with it.
    Viewers {
        /// This client's own number.
        own: u64,
        /// How many clients there are.
        viewers: usize,
        /// The other clients. A gate names at most [`MOST_NAMED`], and an older one none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        others: Vec<Viewer>,
    },
    /// Another client has joined.
    ViewerJoined {
        /// Who.
        viewer: Viewer,
        /// How many clients there are now.
        viewers: usize,
    },
    /// Another client has disconnected, or has not reconnected in time after its connection was lost.
    ViewerLeft {
        /// Who.
        viewer: Viewer,
        /// How many clients there are now.
        viewers: usize,
    },
    /// The terminal has the size of another client, or that client's size has changed. Sent on each connection to a
    /// terminal, too, if it has a size.
    SizeOwner {
        /// The number of the client. [`NOBODY`] if the size is not that of a client's window: its owner has
        /// disconnected, or the size was set through the API.
        viewer: u64,
        /// The terminal's size. Each client shows it, in a part of its window if that is larger.
        size: Size,
    },
    /// The container engine was restarted, and the gate has attached again. What the process printed in between is
    /// missing.
    Reattached,
    /// The gate was restarted while it sent this client's signal: the process may have got it or not.
    #[serde(rename = "signal_in_doubt")]
    SignalUnconfirmed {
        /// The signal's number, counted from the client's first one.
        #[serde(default)]
        number: u64,
        /// Its name.
        name: String,
    },
    /// The session is recorded. Sent first on each connection, and when the state changes.
    Recording {
        /// Whether output is being recorded. Otherwise it cannot be recorded at present, and input is held if the
        /// recording is required.
        on: bool,
        /// Whether the session must be recorded: it ends if that is impossible for too long.
        required: bool,
    },
    /// An event of a newer gate.
    #[serde(other)]
    Other,
}

/// The most clients that [`SessionEvent::Viewers`] names.
pub const MOST_NAMED: usize = 64;

/// A client of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    /// Its number among the clients of this process. It keeps it when it resumes its session.
    pub id: u64,
    /// What it may do.
    pub mode: ViewerMode,
    /// The ID of its grant.
    pub grant: String,
}

/// What a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewerMode {
    /// Watch and type.
    ReadWrite,
    /// Watch.
    ReadOnly,
    /// A mode of a newer gate.
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_are_json_that_pages_can_read() {
        let viewer = Viewer { id: 2, mode: ViewerMode::ReadOnly, grant: "g2".to_owned() };
        let size = Size { width: 80, height: 24 };
        for (event, expected) in [
            (
                SessionEvent::Viewers { own: 1, viewers: 2, others: Vec::new() },
                json!({"type": "viewers", "own": 1, "viewers": 2}),
            ),
            (
                SessionEvent::Viewers { own: 1, viewers: 2, others: vec![viewer.clone()] },
                json!({"type": "viewers", "own": 1, "viewers": 2, "others": [{"id": 2, "mode": "read_only", "grant": "g2"}]}),
            ),
            (
                SessionEvent::ViewerJoined { viewer, viewers: 2 },
                json!({"type": "viewer_joined", "viewers": 2, "viewer": {"id": 2, "mode": "read_only", "grant": "g2"}}),
            ),
            (
                SessionEvent::SizeOwner { viewer: 1, size },
                json!({"type": "size_owner", "viewer": 1, "size": {"Width": 80, "Height": 24}}),
            ),
            (
                SessionEvent::Recording { on: true, required: true },
                json!({"type": "recording", "on": true, "required": true}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&event).unwrap(), expected);
            assert_eq!(serde_json::from_value::<SessionEvent>(expected).unwrap(), event);
        }
    }

    #[test]
    fn an_event_of_a_newer_gate_is_understood_as_other() {
        let event: SessionEvent = serde_json::from_str(r#"{"type": "moved", "to": "h2"}"#).unwrap();
        assert_eq!(event, SessionEvent::Other);
    }
}
