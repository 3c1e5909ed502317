//! What the client receives exactly once: output, and the end of the session. Both are queued here until they are
//! shown.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use tokio::time::Instant;
use zun_common::pty::{Frame, ServerHello, Stream};

use super::Violation;
use crate::console::Event;

/// How much output is shown before it is acknowledged at once.
const ACK_BYTES: u64 = 64 << 10;

/// How long output that was shown may stay unacknowledged.
const ACK_DELAY: Duration = Duration::from_millis(100);

/// Output on its way to the user.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    stdout: Flow,
    stderr: Flow,
    waiting: VecDeque<Waiting>,
    /// How many bytes of output wait.
    bytes: usize,
    /// The last event that was taken. It counts as shown once the next one is requested.
    taken: Option<(Output, u64)>,
    /// When to acknowledge what was shown.
    ack_at: Option<Instant>,
}

/// One of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Stdout,
    Stderr,
}

/// The progress of a stream.
#[derive(Debug, Default, Clone, Copy)]
struct Flow {
    /// The offset of the next byte on this link.
    link: u64,
    /// The offset of the first byte that was not received on any link.
    received: u64,
    shown: u64,
    acknowledged: u64,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    /// The offset that the stream has reached once the event is shown.
    until: Option<(Output, u64)>,
}

impl Inbox {
    /// Begins a link. The first link also decides where the streams begin.
    pub(super) fn connected(
        &mut self,
        hello: &ServerHello,
        is_first: bool,
    ) -> Result<(), Violation> {
        for (flow, next) in
            [(&mut self.stdout, hello.stdout_next), (&mut self.stderr, hello.stderr_next)]
        {
            if is_first {
                *flow = Flow { link: next, received: next, shown: next, acknowledged: next };
            } else if next > flow.received {
                return Err(Violation("the gate's hello skips output"));
            }
            flow.link = next;
            // The offsets of the client's hello count as acknowledgements, and are at least these.
            flow.acknowledged = flow.acknowledged.max(flow.shown);
        }
        self.ack_at = None;
        Ok(())
    }

    /// Returns the offsets of the first bytes of stdout and stderr that were not received.
    pub(super) const fn received(&self) -> (u64, u64) {
        (self.stdout.received, self.stderr.received)
    }

    /// Adds output. Drops bytes that were already received on a former link.
    pub(super) fn output(&mut self, output: Output, mut data: Bytes) {
        let flow = self.flow(output);
        let known = flow.received.saturating_sub(flow.link);
        flow.link += data.len() as u64;
        data.advance(usize::try_from(known).unwrap_or(usize::MAX).min(data.len()));
        if data.is_empty() {
            return;
        }
        flow.received = flow.link;
        let until = Some((output, flow.received));
        self.bytes += data.len();
        let event = match output {
            Output::Stdout => Event::Stdout(data),
            Output::Stderr => Event::Stderr(data),
        };
        self.waiting.push_back(Waiting { event, until });
    }

    /// Continues the stream at `to`. Bytes before it that were not received are missing.
    pub(super) fn gap(&mut self, output: Output, from: u64, to: u64) -> Result<(), Violation> {
        let flow = self.flow(output);
        if from != flow.link || to < from {
            return Err(Violation("a gap is at a wrong offset"));
        }
        flow.link = to;
        let missing = to.saturating_sub(flow.received);
        if missing > 0 {
            flow.received = to;
            self.waiting
                .push_back(Waiting { event: Event::Gap(missing), until: Some((output, to)) });
        }
        Ok(())
    }

    /// Continues stdout at `offset`, with a screen that shows everything before.
    pub(super) fn snapshot(&mut self, offset: u64, draw: Bytes) -> Result<(), Violation> {
        let flow = self.flow(Output::Stdout);
        if offset < flow.received {
            return Err(Violation("a snapshot is older than what was shown"));
        }
        (flow.link, flow.received) = (offset, offset);
        self.bytes += draw.len();
        let until = Some((Output::Stdout, offset));
        self.waiting.push_back(Waiting { event: Event::Snapshot(draw), until });
        Ok(())
    }

    /// Adds an event that is not output.
    pub(super) fn push(&mut self, event: Event) {
        self.waiting.push_back(Waiting { event, until: None });
    }

    /// Returns how many bytes of output wait.
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the next event. What was taken before has been shown.
    pub(super) fn take(&mut self, now: Instant) -> Option<Event> {
        if let Some((output, until)) = self.taken.take() {
            let flow = self.flow(output);
            flow.shown = flow.shown.max(until);
            self.ack_at.get_or_insert(now + ACK_DELAY);
        }
        let Waiting { event, until } = self.waiting.pop_front()?;
        if let Event::Stdout(data) | Event::Stderr(data) | Event::Snapshot(data) = &event {
            self.bytes -= data.len();
        }
        self.taken = until;
        Some(event)
    }

    /// Returns an acknowledgement that is due.
    pub(super) fn next_ack(&mut self, now: Instant) -> Option<Frame> {
        let is_due = self.ack_at.is_some_and(|at| at <= now);
        for (stream, flow) in
            [(Stream::Stdout, &mut self.stdout), (Stream::Stderr, &mut self.stderr)]
        {
            let unacknowledged = flow.shown.saturating_sub(flow.acknowledged);
            if unacknowledged >= ACK_BYTES || (is_due && unacknowledged > 0) {
                flow.acknowledged = flow.shown;
                return Some(Frame::Ack { stream, offset: flow.shown });
            }
        }
        let all = |flow: &Flow| flow.acknowledged >= flow.shown;
        if is_due || (all(&self.stdout) && all(&self.stderr)) {
            self.ack_at = None;
        }
        None
    }

    /// Returns when an acknowledgement is due.
    pub(super) const fn ack_at(&self) -> Option<Instant> {
        self.ack_at
    }

    const fn flow(&mut self, output: Output) -> &mut Flow {
        match output {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        }
    }
}
