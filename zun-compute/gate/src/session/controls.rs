//! Calls to the engine outside of its stream: the terminal's size and signals.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use zun_common::pty::{SessionEvent, Size};

use super::viewers::queue;
use super::{AttachmentId, Session};

/// The most sizes that wait for the engine. A client makes a program redraw itself by changing the size and changing it
/// back, so two.
const MOST_SIZES: usize = 2;
/// The most signals that wait for the engine.
const MOST_SIGNALS: usize = 64;
/// The longest time for which input waits for a redraw. Docker may answer late, for example while it copies files.
const LONGEST_HOLD: Duration = Duration::from_secs(1);

/// What the engine should do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Set the terminal's size.
    Resize(Size),
    /// Set a slightly smaller size for a moment, so that the process draws its screen again, and then this one.
    Redraw(Size),
    /// Send a signal to the process. Its name was checked.
    Signal(String),
}

#[derive(Debug, Default)]
pub(super) struct Controls {
    /// The newest sizes that were not sent to the engine.
    sizes: VecDeque<Size>,
    /// The process should draw its screen again.
    redraws: bool,
    /// A redraw has begun, and the terminal does not have its own size again. Input waits until this time.
    redrawing: Option<Instant>,
    signals: VecDeque<(AttachmentId, String)>,
    /// Whether a call to send the first signal is in progress.
    sending: bool,
}

/// The part that must outlive the gate.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct ControlsRecord {
    sizes: VecDeque<Size>,
    signals: VecDeque<(u64, String)>,
    sending: bool,
}

impl Controls {
    pub(super) fn record(&self, number: impl Fn(&AttachmentId) -> u64) -> ControlsRecord {
        let signals = self.signals.iter().map(|(id, name)| (number(id), name.clone()));
        let (sizes, sending) = (self.sizes.clone(), self.sending);
        ControlsRecord { sizes, signals: signals.collect(), sending }
    }

    pub(super) fn restored(record: ControlsRecord, id: impl Fn(u64) -> AttachmentId) -> Self {
        let ControlsRecord { sizes, signals, sending } = record;
        let signals = signals.into_iter().map(|(number, name)| (id(number), name));
        Self { sizes, redraws: false, redrawing: None, signals: signals.collect(), sending }
    }

    pub(super) fn resize(&mut self, size: Size) {
        if size.width == 0 || size.height == 0 || self.sizes.back() == Some(&size) {
            return;
        }
        if self.sizes.len() >= MOST_SIZES {
            self.sizes.pop_front();
        }
        self.sizes.push_back(size);
    }

    pub(super) const fn redraws(&self) -> bool {
        self.redraws
    }

    /// Asks the process to draw its screen again, once the terminal has a size.
    pub(super) const fn redraw(&mut self) {
        self.redraws = true;
    }

    /// Queues a signal. Returns whether there was room.
    pub(super) fn signal(&mut self, attachment: AttachmentId, name: String) -> bool {
        if self.signals.len() >= MOST_SIGNALS {
            return false;
        }
        self.signals.push_back((attachment, name));
        true
    }
}

impl Session {
    /// Returns the next call that the engine should get while the process runs. The caller must report a signal with
    /// [`Session::signalled`].
    pub fn next_control(&mut self, now: Instant) -> Option<Control> {
        if !self.process.running || self.ending.is_some() {
            return None;
        }
        let size = self.controls.sizes.back().copied().or_else(|| self.terminal_size());
        if let (true, Some(size)) = (self.controls.redraws, size) {
            self.controls.redraws = false;
            self.controls.redrawing = Some(now + LONGEST_HOLD);
            self.controls.sizes.clear();
            return Some(Control::Redraw(size));
        }
        if let Some(size) = self.controls.sizes.pop_front() {
            return Some(Control::Resize(size));
        }
        // After the exit, the process's ID may be that of another one, and a container may have started again.
        let (_, name) = self.controls.signals.front().filter(|_| !self.exited)?;
        Some(Control::Signal(name.clone()))
    }

    /// Queues a size again if the process was not ready for it, or if it follows a redraw. Does nothing if a newer one
    /// waits.
    pub fn retry_size(&mut self, size: Size) {
        if self.controls.sizes.is_empty() {
            self.controls.sizes.push_front(size);
        }
    }

    /// The engine has answered to the size that follows a redraw.
    pub const fn redrawn(&mut self) {
        self.controls.redrawing = None;
    }

    /// Until when input waits for a redraw, at most. A command that is typed meanwhile would see the smaller size.
    pub fn input_due(&self, now: Instant) -> Option<Instant> {
        self.controls.redrawing.filter(|due| self.process.running && now < *due)
    }

    /// Whether the process should draw its screen again.
    pub const fn wants_redraw(&self) -> bool {
        self.controls.redraws()
    }

    /// The engine is asked to send the first signal now. If the gate ends before [`Session::signalled`], nobody knows
    /// whether it was sent.
    pub const fn signalling(&mut self) {
        self.controls.sending = true;
    }

    /// Whether a call to send a signal is in progress.
    pub const fn is_signalling(&self) -> bool {
        self.controls.sending
    }

    /// A signal that was being sent when the gate or the engine ended may or may not have arrived. It is not sent
    /// again, and its client gets an event.
    pub(super) fn mark_signal_unconfirmed(&mut self, now: Instant) {
        if !self.controls.sending {
            return;
        }
        if let Some((id, name)) = self.controls.signals.front()
            && let Some(attachment) = self.attachments.get_mut(id)
        {
            let number = attachment.signals.sent + 1;
            let unconfirmed = SessionEvent::SignalUnconfirmed { number, name: name.clone() };
            queue(&mut attachment.events, unconfirmed);
        }
        self.signalled(now);
    }

    /// The engine has answered the call about the first signal.
    pub fn signalled(&mut self, now: Instant) {
        self.controls.sending = false;
        let Some((id, _)) = self.controls.signals.pop_front() else { return };
        if let Some(attachment) = self.attachments.get_mut(&id) {
            attachment.signals.sent += 1;
            attachment.stdin.ack_due = Some(now);
        }
    }
}
