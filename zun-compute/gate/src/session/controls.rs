//! What is asked of the engine besides its stream: the terminal's size and signals.

use std::collections::VecDeque;
use std::time::Instant;

use zun_common::pty::Size;

use super::{AttachmentId, Session};

/// The most signals that wait for the engine.
const MOST_SIGNALS: usize = 64;

/// A call to the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Set the terminal's size.
    Resize(Size),
    /// Send a signal to the process. Its name was checked.
    Signal(String),
}

#[derive(Debug, Default)]
pub(super) struct Controls {
    /// The newest size that the engine has not got.
    size: Option<Size>,
    signals: VecDeque<(AttachmentId, String)>,
}

impl Controls {
    pub(super) const fn resize(&mut self, size: Size) {
        if size.width > 0 && size.height > 0 {
            self.size = Some(size);
        }
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
    /// Takes the size that the process's terminal begins with.
    pub const fn take_size(&mut self) -> Option<Size> {
        self.controls.size.take()
    }

    /// Returns the next call that the engine should get while the process runs. The caller must report a signal with
    /// [`Session::signalled`].
    pub fn next_control(&mut self) -> Option<Control> {
        if !self.process.running || self.ending.is_some() {
            return None;
        }
        if let Some(size) = self.controls.size.take() {
            return Some(Control::Resize(size));
        }
        let (_, name) = self.controls.signals.front()?;
        Some(Control::Signal(name.clone()))
    }

    /// The size could not be set because the process was not ready. It is tried again unless there is a newer one.
    pub fn retry_size(&mut self, size: Size) {
        self.controls.size.get_or_insert(size);
    }

    /// The engine has answered the call about the first signal.
    pub fn signalled(&mut self, now: Instant) {
        let Some((id, _)) = self.controls.signals.pop_front() else { return };
        if let Some(attachment) = self.attachments.get_mut(&id) {
            attachment.signals.sent += 1;
            attachment.stdin.ack_due = Some(now);
        }
    }
}
