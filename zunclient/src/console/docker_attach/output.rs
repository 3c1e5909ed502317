//! The output of a console, followed by the exit code.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::ws::WsOutput;
use crate::console::docker::exit::ExitCode;
use crate::console::docker::hijack::HijackOutput;
use crate::console::{Event, Events};

/// How long the stream may stay idle after the process exited, if there was no output at all. If the container stopped
/// before zun attached, the stream stays open until its next start.
const QUIET_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the exit code may take after the stream has ended.
const EXIT_CODE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the exit code may take after the link was lost. The link of the wait is probably lost too.
const EXIT_CODE_TIMEOUT_AFTER_LOSS: Duration = Duration::from_millis(500);

const END_MISSING: &str = "the process exited, but the end of its output did not arrive";

/// The stream of either attach call.
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

/// The state between output and exit code.
enum Phase {
    /// Output may arrive, and the exit code is not known.
    Running(ExitCode),
    /// The process has exited, and its last output may still arrive.
    Draining(Option<i64>),
    /// The output has ended. The exit code may take this long.
    Waiting(ExitCode, Duration),
    /// Only the exit code still has to be returned.
    Exited(i64),
    /// There are no more events.
    Over,
}

/// The events of one console.
pub(super) struct OutputThenExit {
    output: Output,
    phase: Phase,
    /// Whether there was any output.
    printed: bool,
    /// How long the last output may take after the exit code, which arrives on another connection.
    drain_timeout: Duration,
}

impl OutputThenExit {
    pub(super) const fn new(output: Output, exit: ExitCode, drain_timeout: Duration) -> Self {
        Self { output, phase: Phase::Running(exit), printed: false, drain_timeout }
    }

    /// Returns the next event, or `None` after a change of phase.
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
                    Event::Stdout(_)
                    | Event::Stderr(_)
                    | Event::Exit(_)
                    | Event::NotStarted { .. }
                    | Event::Closed(_)
                    | Event::Gap(_)
                    | Event::Notice(_)
                    | Event::Snapshot(_)
                    | Event::TerminalSize { .. }
                    | Event::Reconnecting { .. }
                    | Event::Reconnected,
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
