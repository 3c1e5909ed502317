//! Connects to the console gate, or to Docker if the gate cannot be reached. Both accept the same grant. The choice is
//! made before the process starts, so a failed first attempt loses nothing. An exec that the gate may have started is
//! not started again. A notice tells the user about the fallback, because Docker lacks some features of the gate.

use async_trait::async_trait;
use zun_common::chain;

use super::docker_attach::DockerAttach;
use super::docker_exec::DockerExec;
use super::pty::Pty;
use super::{Connection, Console, ConsoleError, Dial, Event, Events};

/// A console with two possible connections.
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
        match self.engine.open().await {
            Ok(console) => Ok(with_notice(console, &gate)),
            Err(error) => Err(ConsoleError::NeitherWay { gate, engine: Box::new(error) }),
        }
    }
}

/// A console that begins with a notice.
struct Noticed {
    notice: Option<String>,
    events: Box<dyn Events>,
}

fn with_notice(console: Console, gate: &str) -> Console {
    let notice = format!(
        "no console gate ({gate}): zun is connected to Docker directly, and this session does not survive a lost link"
    );
    let events = Box::new(Noticed { notice: Some(notice), events: console.events });
    Console { events, ..console }
}

#[async_trait]
impl Events for Noticed {
    async fn next(&mut self) -> Option<Event> {
        match self.notice.take() {
            Some(notice) => Some(Event::Notice(notice)),
            None => self.events.next().await,
        }
    }
}
