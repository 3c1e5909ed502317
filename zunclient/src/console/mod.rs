//! Consoles: streams between a terminal and a process in a container. Each protocol is a directory that implements
//! [`Connection`]; the terminal side knows none of them.

pub mod docker;
pub mod docker_attach;
pub mod docker_exec;
mod error;
mod link_timeouts;
mod proxies;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use zun_common::api::v1::console::{ConsoleEndpoint, DOCKER_ATTACH, DOCKER_EXEC, Tls};
use zun_common::grant::WaitCondition;
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
    /// Sends bytes; waits while the process does not read them.
    async fn write(&mut self, typed: Bytes) -> Result<(), ConsoleError>;
    /// Closes the input. Output continues.
    async fn eof(&mut self) -> Result<(), ConsoleError>;
    /// Disconnects; the process keeps running.
    async fn detach(&mut self);
}

/// Calls outside of the stream.
#[async_trait]
pub trait Control: Send + Sync {
    /// Sets the size of the terminal.
    async fn resize(&self, size: TerminalSize) -> Result<(), ConsoleError>;
    /// Sends the process a signal.
    async fn signal(&self, name: &str) -> Result<(), ConsoleError>;
}

/// An open console. None of its three parts ever waits for another.
pub struct Console {
    /// The output.
    pub events: Box<dyn Events>,
    /// The input.
    pub input: Box<dyn Input>,
    /// Calls outside of the stream.
    pub control: Box<dyn Control>,
}

/// A console that is not yet connected.
#[async_trait]
pub trait Connection: Send {
    /// Connects. After this returns, no output of the process is missed, nor its exit code.
    async fn open(self: Box<Self>) -> Result<Console, ConsoleError>;
}

/// Gets a new grant for a session that lasts longer than its first one.
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
pub struct Dial {
    /// The addresses and the certificates.
    pub endpoint: ConsoleEndpoint,
    /// The certificate's key.
    pub key: Secret<String>,
    /// Whether input is sent too.
    pub input: bool,
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

/// The protocols for attaching to a container, best first.
pub const ATTACH_PROTOCOLS: [&str; 1] = [DOCKER_ATTACH];

/// Returns the connection for the protocol of the endpoint.
pub fn connection(dial: Dial) -> Result<Box<dyn Connection>, ConsoleError> {
    match dial.endpoint.protocol.as_str() {
        DOCKER_ATTACH => Ok(Box::new(docker_attach::DockerAttach::new(dial)?)),
        DOCKER_EXEC => Ok(Box::new(docker_exec::DockerExec::new(dial)?)),
        other => Err(ConsoleError::UnknownProtocol(other.to_owned())),
    }
}
