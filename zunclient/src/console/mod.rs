//! Consoles: streams between a terminal and a process in a container. Each protocol is a directory that implements
//! [`Connection`]; the terminal side knows none of them.

pub mod docker;
pub mod docker_attach;
pub mod docker_exec;
mod error;
mod fallback;
mod link_timeouts;
mod proxies;
pub mod pty;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use zun_common::api::v1::console::{Calls, ConsoleEndpoint, DOCKER_ATTACH, DOCKER_EXEC, PTY, Tls};
use zun_common::grant::WaitCondition;
use zun_common::pty::OnDisconnect;
use zun_common::secret::Secret;
use zun_common::shutdown::Tasks;
use zun_common::units::TerminalSize;

pub use error::ConsoleError;
pub use link_timeouts::LinkTimeouts;
pub use proxies::Proxies;

/// An event of a console. The exit code is the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The process wrote to its standard output, or to its terminal.
    Stdout(Bytes),
    /// The process wrote to its standard error.
    Stderr(Bytes),
    /// The process ended with this exit code. All of its output came before, unless [`Event::Lost`] did.
    Exit(i64),
    /// Docker could not start the process.
    NotStarted {
        /// The exit code that a shell would use for this failure.
        code: i64,
        /// Docker's reason.
        reason: String,
    },
    /// The link was lost, and why.
    Lost(String),
    /// The host ended the session for another reason than the end of its process. The last event.
    Closed(Closing),
    /// This many bytes of output were skipped, because the client was too slow.
    Gap(u64),
    /// A notice about the session for the user.
    Notice(String),
    /// The screen of the process's terminal, to be written to a cleared terminal. It replaces what was shown.
    Snapshot(Bytes),
    /// The new size of the terminal: that of this client's window, or of another client's.
    TerminalSize {
        /// The size.
        size: TerminalSize,
        /// Whether it is this client's.
        is_own: bool,
    },
    /// The link is lost, and the console reconnects. If it succeeds, no data is lost.
    Reconnecting {
        /// The host's address.
        host: String,
    },
    /// The link is restored.
    Reconnected,
}

/// Why the host ended a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// The reason, to be read after the name of the container or command.
    pub why: String,
    /// The exit code of the process, if it has ended and the host knows it.
    pub code: Option<i64>,
    /// Whether the process, or another run of its container, may still be running.
    pub may_run: bool,
}

/// The output of a console.
#[async_trait]
pub trait Events: Send {
    /// Returns the next event, or `None` after the last one. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<Event>;
}

/// The input of a console.
#[async_trait]
pub trait Input: Send {
    /// Sends bytes. Waits while the process does not read them.
    async fn write(&mut self, typed: Bytes) -> Result<(), ConsoleError>;
    /// Closes the input. Output continues.
    async fn eof(&mut self) -> Result<(), ConsoleError>;
    /// Detaches. The process keeps running.
    async fn detach(&mut self);
    /// Disconnects because zun ends, although the user has not detached.
    async fn leave(&mut self) {
        self.detach().await;
    }
}

/// Calls outside of the stream.
#[async_trait]
pub trait Control: Send + Sync {
    /// Sets the size of the terminal.
    async fn resize(&self, size: TerminalSize) -> Result<(), ConsoleError>;
    /// Sends the process a signal.
    async fn signal(&self, name: &str) -> Result<(), ConsoleError>;
    /// Describes the clients of the session, in lines for a terminal in raw mode, if the console knows them.
    fn about(&self) -> Option<String> {
        None
    }
}

/// An open console. None of its three parts ever waits for another.
pub struct Console {
    /// The output.
    pub events: Box<dyn Events>,
    /// The input.
    pub input: Box<dyn Input>,
    /// Calls outside of the stream.
    pub control: Box<dyn Control>,
    /// Whether the process runs; `None` if that is not known.
    pub running: Option<bool>,
    /// Whether the console begins with a snapshot of the screen, so that the process need not redraw it.
    pub has_screen: bool,
    /// Whether the host carries out [`Dial::on_disconnect`] without a request of this client.
    pub acts_on_disconnect: bool,
}

/// A console that is not yet connected.
#[async_trait]
pub trait Connection: Send {
    /// Connects. After this returns, no output of the process is missed, nor its exit code.
    async fn open(self: Box<Self>) -> Result<Console, ConsoleError>;
}

/// Renews the grant of a long session.
#[async_trait]
pub trait Renewal: Send + Sync {
    /// Returns a new grant for the same console, or why there is none.
    async fn renew(&self) -> Result<Renewed, String>;
}

/// A new grant.
pub struct Renewed {
    /// The certificates to connect with.
    pub tls: Tls,
    /// The certificate's key.
    pub key: Secret<String>,
    /// When the grant expires: no connection can be opened after that.
    pub expires_at: DateTime<Utc>,
}

/// What is needed to connect to a console.
#[derive(Clone)]
pub struct Dial {
    /// The addresses and the certificates.
    pub endpoint: ConsoleEndpoint,
    /// The certificate's key.
    pub key: Secret<String>,
    /// Whether input is sent too.
    pub input: bool,
    /// Whether the output goes to a terminal, which shows the screen of a process that is running.
    pub shows_screen: bool,
    /// What the host's console gate does with an exec that it starts for this client, if it loses the client.
    pub on_disconnect: Option<OnDisconnect>,
    /// The condition that ends the wait for the exit code.
    pub until: WaitCondition,
    /// Where new grants come from. Without it, calls fail after the first grant has expired.
    pub renewal: Option<Arc<dyn Renewal>>,
    /// The timeouts of the link.
    pub link: LinkTimeouts,
    /// The proxies for the connection.
    pub proxies: Proxies,
    /// Owns the background tasks.
    pub tasks: Tasks,
}

impl Dial {
    /// Sends input, shows no screen, waits for the exit of the process that runs, has no other grants, and connects
    /// without a proxy.
    pub fn new(endpoint: ConsoleEndpoint, key: Secret<String>, tasks: Tasks) -> Self {
        Self {
            endpoint,
            key,
            input: true,
            shows_screen: false,
            on_disconnect: None,
            until: WaitCondition::NotRunning,
            renewal: None,
            link: LinkTimeouts::default(),
            proxies: Proxies::default(),
            tasks,
        }
    }
}

/// The protocols for attaching to a container, best first.
pub const ATTACH_PROTOCOLS: [&str; 2] = [PTY, DOCKER_ATTACH];

/// The protocols for an exec, best first.
pub const EXEC_PROTOCOLS: [&str; 2] = [PTY, DOCKER_EXEC];

/// Whether the grant opens the console at the console gate only.
const fn is_gate_only(calls: &Calls) -> bool {
    calls.attach.is_none() && calls.output.is_none() && calls.start.is_none()
}

/// Returns the connection for the protocol of the endpoint.
pub fn connection(dial: Dial) -> Result<Box<dyn Connection>, ConsoleError> {
    match dial.endpoint.protocol.as_str() {
        // Recorded sessions must use the gate.
        PTY if is_gate_only(&dial.endpoint.calls) => Ok(Box::new(pty::Pty::new(&dial)?)),
        PTY => Ok(Box::new(fallback::Fallback::new(dial)?)),
        DOCKER_ATTACH => Ok(Box::new(docker_attach::DockerAttach::new(dial)?)),
        DOCKER_EXEC => Ok(Box::new(docker_exec::DockerExec::new(dial)?)),
        other => Err(ConsoleError::UnknownProtocol(other.to_owned())),
    }
}
