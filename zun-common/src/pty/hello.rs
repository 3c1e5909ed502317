//! The first message of each side.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::Size;

/// The prefix of the subprotocol that carries the client's hello. Browsers cannot set other headers.
const CLIENT_HELLO: &str = "zun.hello.";

/// The longest hello that a gate reads, in characters.
const MAXIMUM_HELLO: usize = 4096;

/// The client's first message. It is part of the HTTP request, so that the gate can send data at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHello {
    /// The size of the client's terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Whether the client sends input. A read-only grant allows none.
    #[serde(default)]
    pub writes: bool,
    /// Which earlier output to replay.
    #[serde(default)]
    pub replay: Replay,
    /// How many bytes of output the gate may send before they are acknowledged.
    #[serde(default = "default_window")]
    pub window: u64,
    /// The session to continue; a new one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<Resume>,
    /// What happens to an exec whose clients have all lost their connection; it keeps running if absent. For a new
    /// session of a client that may send input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_disconnect: Option<OnDisconnect>,
}

const fn default_window() -> u64 {
    256 << 10
}

/// What happens to an exec if all its clients lose their connection and none reconnects. A client that detaches leaves
/// it running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDisconnect {
    /// The signal that its process group gets.
    pub signal: DisconnectSignal,
    /// How long no client may be connected before that, in seconds. At least [`SHORTEST_GRACE`] and at most
    /// [`LONGEST_GRACE`]: the gate corrects other values.
    pub grace: u32,
}

/// The shortest time without clients after which the gate sends a signal, in seconds: clients need it to reconnect
/// after a restart of the gate.
pub const SHORTEST_GRACE: u32 = 1;

/// The longest time without clients after which the gate sends a signal, in seconds.
pub const LONGEST_GRACE: u32 = 24 * 60 * 60;

impl OnDisconnect {
    /// How long no client may be connected.
    pub fn grace(self) -> Duration {
        Duration::from_secs(self.grace.clamp(SHORTEST_GRACE, LONGEST_GRACE).into())
    }
}

/// The signal for an exec without clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisconnectSignal {
    /// SIGHUP, as from a terminal that is closed.
    Hup,
    /// SIGKILL.
    Kill,
}

impl DisconnectSignal {
    /// The signal's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hup => "SIGHUP",
            Self::Kill => "SIGKILL",
        }
    }
}

/// Which earlier output to replay to a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replay {
    /// Everything since the run began that the gate still has.
    All,
    /// The terminal's screen. Without a terminal, nothing.
    #[default]
    Screen,
    /// Nothing.
    None,
}

/// The session to continue.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The session's ID.
    pub session: String,
    /// The session's secret.
    pub token: String,
    /// The offset of the first byte of stdout that the client has not received.
    pub stdout: u64,
    /// The offset of the first byte of stderr that the client has not received.
    pub stderr: u64,
}

impl std::fmt::Debug for Resume {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { session, token: _, stdout, stderr } = self;
        write!(out, "Resume({session}, stdout {stdout}, stderr {stderr})")
    }
}

/// The client's hello cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the hello in Sec-WebSocket-Protocol is not base64url of the expected JSON, or is too long"
)]
pub struct InvalidHello;

impl ClientHello {
    /// Returns the subprotocol that carries this hello. It contains the session's secret: it must not be logged.
    pub fn subprotocol(&self) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        format!("{CLIENT_HELLO}{}", URL_SAFE_NO_PAD.encode(json))
    }

    /// Finds the hello among the offered subprotocols. `None` if there is none.
    pub fn of<'a>(
        offered: impl IntoIterator<Item = &'a str>,
    ) -> Result<Option<Self>, InvalidHello> {
        let hello = offered.into_iter().find_map(|offer| offer.strip_prefix(CLIENT_HELLO));
        let Some(hello) = hello else { return Ok(None) };
        if hello.len() > MAXIMUM_HELLO {
            return Err(InvalidHello);
        }
        let json = URL_SAFE_NO_PAD.decode(hello).map_err(|_invalid| InvalidHello)?;
        serde_json::from_slice(&json).map(Some).map_err(|_invalid| InvalidHello)
    }
}

/// What a session is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// A container's main process.
    Container,
    /// An exec.
    Exec,
}

/// What the gate says first.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are those of the wire")]
pub struct ServerHello {
    /// The ID of this client's session.
    pub session: String,
    /// The session's secret, with which the client may resume it.
    pub token: String,
    /// What the session is connected to.
    pub kind: SessionKind,
    /// Whether the process has a terminal.
    pub tty: bool,
    /// Whether the process reads stdin.
    pub stdin: bool,
    /// Whether this client may send input.
    pub writes: bool,
    /// Whether the process is running. Otherwise the session begins with its next run.
    pub running: bool,
    /// Whether the gate knows the whole screen, because it has been attached since the process started.
    #[serde(default)]
    pub has_screen: bool,
    /// Whether this continues a session.
    pub resumed: bool,
    /// The offset of the next byte of stdin that the gate expects.
    pub stdin_next: u64,
    /// Whether the gate has accepted the end of stdin.
    pub stdin_ended: bool,
    /// The number of the next signal that the gate expects.
    pub signal_next: u64,
    /// The offset of the next byte of stdout that the gate sends.
    pub stdout_next: u64,
    /// The offset of the next byte of stderr that the gate sends.
    pub stderr_next: u64,
    /// Whether the gate can send signals to the process.
    pub signals: bool,
    /// How long the session can be resumed after its connection was lost, in seconds.
    pub resume_seconds: u64,
    /// How many bytes one copy of files may have; absent if the client may not copy files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Whether the gate will send the exec a signal if all clients are lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acts_on_disconnect: bool,
}

impl std::fmt::Debug for ServerHello {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { session, kind, tty, resumed, stdin_next, stdout_next, stderr_next, .. } = self;
        write!(
            out,
            "ServerHello({session}, {kind:?}, tty {tty}, resumed {resumed}, stdin {stdin_next}, stdout {stdout_next}, \
             stderr {stderr_next})"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_found_among_the_offered_subprotocols() {
        let resume =
            Resume { session: "s1".to_owned(), token: "secret".to_owned(), stdout: 10, stderr: 0 };
        let hello = ClientHello {
            size: Some(Size { width: 80, height: 24 }),
            writes: true,
            replay: Replay::All,
            window: 1 << 20,
            resume: Some(resume),
            on_disconnect: Some(OnDisconnect { signal: DisconnectSignal::Hup, grace: 30 }),
        };
        let offer = hello.subprotocol();
        assert_eq!(ClientHello::of([super::super::PROTOCOL, &offer]), Ok(Some(hello.clone())));
        assert_eq!(ClientHello::of(["binary"]), Ok(None));
        assert!(!format!("{hello:?}").contains("secret"), "{hello:?}");
    }

    #[test]
    fn a_hello_that_cannot_be_read_is_refused() {
        let long = format!("zun.hello.{}", "A".repeat(MAXIMUM_HELLO + 1));
        for bad in ["zun.hello.!", "zun.hello.AAAA", "zun.hello.", long.as_str()] {
            assert_eq!(ClientHello::of([bad]), Err(InvalidHello), "{bad}");
        }
    }

    #[test]
    fn an_empty_hello_asks_for_the_screen_without_input() {
        let hello = ClientHello::of(["zun.hello.e30"]).unwrap().unwrap();
        assert_eq!((hello.writes, hello.replay, hello.window), (false, Replay::Screen, 256 << 10));
    }
}
