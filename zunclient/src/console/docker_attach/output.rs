//! The output and, behind its last byte, the exit code.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::ws::WsOutput;
use crate::console::docker::exit::ExitCode;
use crate::console::docker::hijack::HijackOutput;
use crate::console::{Event, Events};

/// How long the stream may be quiet once the process is known to have ended, where nothing was ever said. A
/// container that stopped between check and dial is attached until its next start: its stream would never end.
const QUIET_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the exit code may take once the stream has ended; a removal comes before it with `--rm`.
const EXIT_CODE_TIMEOUT: Duration = Duration::from_secs(10);

/// The same once the link broke: then its answer is as far away.
const EXIT_CODE_TIMEOUT_AFTER_LOSS: Duration = Duration::from_millis(500);

const END_MISSING: &str = "the process exited, but the end of its output did not arrive";

/// Either stream.
pub(super) enum Output {
    Websocket(WsOutput),
    Hijack(HijackOutput),
}

impl Output {
    async fn next(&mut self) -> Option<Event> {
        match self {
            Self::Websocket(output) => output.next().await,
            Self::Hijack(output) => output.next().await,
        }
    }
}

/// Where we are.
enum Phase {
    /// Output comes; the exit code is not known.
    Running(ExitCode),
    /// The process has ended; its last output comes.
    Draining(Option<i64>),
    /// The output has ended; the exit code is not known, and is waited for so long.
    Waiting(ExitCode, Duration),
    /// All is said but the exit code.
    Exited(i64),
    /// Nothing more comes.
    Over,
}

/// All events of one console.
pub(super) struct OutputThenExit {
    output: Output,
    phase: Phase,
    /// Something was printed.
    printed: bool,
    /// How long the last output may then be on its way: the exit code came on another connection.
    drain_timeout: Duration,
}

impl OutputThenExit {
    pub(super) const fn new(output: Output, exit: ExitCode, drain_timeout: Duration) -> Self {
        Self { output, phase: Phase::Running(exit), printed: false, drain_timeout }
    }

    /// What comes next, if anything: `None` is a change of phase.
    async fn step(&mut self) -> Option<Event> {
        let (event, next) = match &mut self.phase {
            Phase::Running(exit) => tokio::select! {
                biased;
                event = self.output.next() => (event, None),
                code = exit => (None, Some(Phase::Draining(code.ok().flatten()))),
            },
            Phase::Draining(None) => (self.output.next().await, None),
            Phase::Draining(Some(code)) => {
                let within = if self.printed { self.drain_timeout } else { QUIET_TIMEOUT };
                let exit = Phase::Exited(*code);
                match timeout(within, self.output.next()).await {
                    Ok(None) => (None, Some(exit)),
                    Err(_) if !self.printed => (None, Some(exit)),
                    Err(_) => (Some(Event::Lost(END_MISSING.to_owned())), Some(exit)),
                    Ok(Some(Event::Lost(why))) => (Some(Event::Lost(why)), Some(exit)),
                    Ok(Some(event)) => (Some(event), None),
                }
            }
            Phase::Exited(code) => (Some(Event::Exit(*code)), Some(Phase::Over)),
            Phase::Waiting(exit, within) => match timeout(*within, exit).await {
                Ok(Ok(Some(code))) => (Some(Event::Exit(code)), Some(Phase::Over)),
                Ok(Ok(None) | Err(_)) | Err(_) => (None, Some(Phase::Over)),
            },
            Phase::Over => (None, None),
        };
        self.printed |= matches!(event, Some(Event::Stdout(_) | Event::Stderr(_)));
        match (next, &event) {
            (Some(next), _) => self.phase = next,
            (None, None) => self.end(EXIT_CODE_TIMEOUT),
            (None, Some(Event::Lost(_))) => self.end(EXIT_CODE_TIMEOUT_AFTER_LOSS),
            (
                None,
                Some(
                    Event::Stdout(_) | Event::Stderr(_) | Event::Exit(_) | Event::NotStarted { .. },
                ),
            ) => {}
        }
        event
    }

    fn end(&mut self, within: Duration) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Running(exit) => Phase::Waiting(exit, within),
            Phase::Draining(_) | Phase::Waiting(..) | Phase::Exited(_) | Phase::Over => Phase::Over,
        };
    }
}

#[async_trait]
impl Events for OutputThenExit {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.step().await;
            if event.is_some() || matches!(self.phase, Phase::Over) {
                return event;
            }
        }
    }
}
