//! The console gate if it can be reached, and Docker's own calls if not. Both take the same grant. The choice is made
//! before the process starts, so nothing is lost with the first attempt.

use async_trait::async_trait;
use zun_common::chain;

use super::docker_attach::DockerAttach;
use super::docker_exec::DockerExec;
use super::pty::Pty;
use super::{Connection, Console, ConsoleError, Dial};

/// Two ways to the same console.
pub(super) struct Fallback {
    gate: Result<Pty, ConsoleError>,
    engine: Box<dyn Connection>,
}

impl Fallback {
    /// Checks the endpoint, without connecting.
    pub(super) fn new(dial: Dial) -> Result<Self, ConsoleError> {
        let gate = Pty::new(&dial);
        let engine: Box<dyn Connection> = if dial.endpoint.calls.start.is_some() {
            Box::new(DockerExec::new(dial)?)
        } else {
            Box::new(DockerAttach::new(dial)?)
        };
        Ok(Self { gate, engine })
    }
}

#[async_trait]
impl Connection for Fallback {
    async fn open(self: Box<Self>) -> Result<Console, ConsoleError> {
        let opened = match self.gate {
            Ok(gate) => Box::new(gate).open().await,
            Err(error) => Err(error),
        };
        let gate = match opened {
            Ok(console) => return Ok(console),
            Err(error) => chain(&error),
        };
        let engine = self.engine.open().await;
        engine.map_err(|error| ConsoleError::NeitherWay { gate, engine: Box::new(error) })
    }
}
