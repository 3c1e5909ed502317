//! What is asked of the engine besides its stream: the terminal's size and signals.

use std::collections::VecDeque;
use std::time::Instant;

use zun_common::pty::Size;

use super::{AttachmentId, Session};

/// The most sizes that wait for the engine. A client makes a program draw itself again by a size and back, so two.
const MOST_SIZES: usize = 2;
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
    /// The newest sizes that the engine has not got.
    sizes: VecDeque<Size>,
    signals: VecDeque<(AttachmentId, String)>,
}

impl Controls {
    pub(super) fn resize(&mut self, size: Size) {
        if size.width == 0 || size.height == 0 || self.sizes.back() == Some(&size) {
            return;
        }
        if self.sizes.len() >= MOST_SIZES {
            self.sizes.pop_front();
        }
        self.sizes.push_back(size);
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
    pub fn next_control(&mut self) -> Option<Control> {
        if !self.process.running || self.ending.is_some() {
            return None;
        }
        if let Some(size) = self.controls.sizes.pop_front() {
            return Some(Control::Resize(size));
        }
        let (_, name) = self.controls.signals.front()?;
        Some(Control::Signal(name.clone()))
    }

    /// The size could not be set because the process was not ready. It is tried again unless there is a newer one.
    pub fn retry_size(&mut self, size: Size) {
        if self.controls.sizes.is_empty() {
            self.controls.sizes.push_front(size);
        }
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
