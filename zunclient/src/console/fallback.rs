//! The console gate if it can be reached, and Docker's own calls if not. Both take the same grant. The choice is made
//! before the process starts, so nothing is lost with the first attempt. An exec that the gate may have started is not
//! started again.

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
    /// Whether opening the console starts the process.
    starts: bool,
}

impl Fallback {
    /// Checks the endpoint, without connecting.
    pub(super) fn new(dial: Dial) -> Result<Self, ConsoleError> {
        let gate = Pty::new(&dial);
        let starts = dial.endpoint.calls.start.is_some();
        let engine: Box<dyn Connection> = if starts {
            Box::new(DockerExec::new(dial)?)
        } else {
            Box::new(DockerAttach::new(dial)?)
        };
        Ok(Self { gate, engine, starts })
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
            Err(error @ ConsoleError::MayHaveStarted(_)) if self.starts => return Err(error),
            Err(error) => chain(&error),
        };
        let engine = self.engine.open().await;
        engine.map_err(|error| ConsoleError::NeitherWay { gate, engine: Box::new(error) })
    }
}
