//! Consoles: how a terminal is connected to a process in a container. One trait, and a folder for each
//! connection function; the terminal side knows none of them.

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

/// What comes out of a console. After the last one there is nothing more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The process wrote to its standard output, or to its terminal.
    Stdout(Bytes),
    /// The process wrote to its standard error.
    Stderr(Bytes),
    /// The process ended with this exit code. All of its output came before.
    Exit(i64),
    /// Docker could not start the process.
    NotStarted {
        /// The exit code that stands for that.
        code: i64,
        /// Docker's reason.
        reason: String,
    },
    /// The connection broke, and why.
    Lost(String),
}

/// The output of a console.
#[async_trait]
pub trait Events: Send {
    /// The next event; `None` when the console has ended. Dropping the future loses nothing.
    async fn next(&mut self) -> Option<Event>;
}

/// The input of a console.
#[async_trait]
pub trait Input: Send {
    /// Sends typed bytes; waits while the process does not read.
    async fn write(&mut self, typed: Bytes) -> Result<(), ConsoleError>;
    /// Ends the input. Output goes on.
    async fn eof(&mut self) -> Result<(), ConsoleError>;
    /// Leaves; the process goes on.
    async fn detach(&mut self);
}

/// What is said beside the stream.
#[async_trait]
pub trait Control: Send + Sync {
    /// Sets the size of the terminal.
    async fn resize(&self, size: TerminalSize) -> Result<(), ConsoleError>;
    /// Sends the process a signal.
    async fn signal(&self, name: &str) -> Result<(), ConsoleError>;
}

/// An open console: three parts, none of which ever waits for another.
pub struct Console {
    /// What comes out.
    pub events: Box<dyn Events>,
    /// What goes in.
    pub input: Box<dyn Input>,
    /// What is said beside.
    pub control: Box<dyn Control>,
}

/// A way to a console that is not yet dialled.
#[async_trait]
pub trait Connection: Send {
    /// Dials. When this returns, all that the process prints from now on will come, and its exit code too.
    async fn open(self: Box<Self>) -> Result<Console, ConsoleError>;
}

/// Gets another grant for a session that outlives its first one.
#[async_trait]
pub trait Renewal: Send + Sync {
    /// Another grant for the same; the words say why there is none.
    async fn renew(&self) -> Result<Renewed, String>;
}

/// Another grant.
pub struct Renewed {
    /// What to dial with.
    pub tls: Tls,
    /// The certificate's key.
    pub key: Secret<String>,
    /// It cannot be dialled with after this.
    pub expires_at: DateTime<Utc>,
}

/// What is needed to dial.
pub struct Dial {
    /// Where and with which certificate.
    pub endpoint: ConsoleEndpoint,
    /// The certificate's key.
    pub key: Secret<String>,
    /// The input is wanted too.
    pub input: bool,
    /// What the exit code is waited for with.
    pub until: WaitCondition,
    /// Where other grants come from; a session without lasts as long as its first one.
    pub renewal: Option<Arc<dyn Renewal>>,
    /// The times of the link.
    pub link: LinkTimeouts,
    /// The proxies on the way.
    pub proxies: Proxies,
    /// Owns what runs beside.
    pub tasks: Tasks,
}

/// The connection functions that attach to a container, best first.
pub const ATTACH_PROTOCOLS: [&str; 1] = [DOCKER_ATTACH];

/// Picks the connection function that the endpoint names.
pub fn connection(dial: Dial) -> Result<Box<dyn Connection>, ConsoleError> {
    match dial.endpoint.protocol.as_str() {
        DOCKER_ATTACH => Ok(Box::new(docker_attach::DockerAttach::new(dial)?)),
        DOCKER_EXEC => Ok(Box::new(docker_exec::DockerExec::new(dial)?)),
        other => Err(ConsoleError::UnknownProtocol(other.to_owned())),
    }
}
