//! What viewers of one process share: whose size the terminal has, who replies to its questions, and which clients
//! there are.

use std::collections::VecDeque;

use zun_common::pty::{MOST_NAMED, NOBODY, SessionEvent, Size, Viewer, ViewerMode};

use super::attachment::Attachment;
use super::recorder::Recorder;
use super::{AttachmentId, Session};
use crate::replies::{OpenQuestions, Question};

/// The most events that wait for a client. Older ones are dropped.
const MOST_EVENTS: usize = 64;
/// How much earlier output is searched for the question to a reply, in bytes.
const MOST_SEARCHED: u64 = 256 << 10;

/// The client whose window size the terminal has.
#[derive(Debug, Default)]
pub(super) struct SizeOwner {
    owner: Option<AttachmentId>,
    /// How many times clients have typed.
    typed: u64,
    /// The size that the engine was asked for last.
    size: Option<Size>,
}

/// The questions of the process. Output is searched for them only when a reply arrives.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: OpenQuestions,
    /// The offset of the next byte to search.
    at: u64,
}

impl SizeOwner {
    /// Continues with what a former gate has recorded.
    pub(super) fn restored(
        (owner, size): (Option<u64>, Option<Size>),
        typed: impl Iterator<Item = u64>,
    ) -> Self {
        Self { owner: owner.map(AttachmentId), typed: typed.max().unwrap_or_default(), size }
    }
}

impl Session {
    /// An attachment's terminal has this size.
    pub(super) fn sized(&mut self, id: AttachmentId, size: Size) {
        let size = size.at_most_largest();
        let Some(attachment) = self.attachments.get_mut(&id) else { return };
        if !self.process.tty || !attachment.may_write || size.width == 0 || size.height == 0 {
            return;
        }
        self.unrecorded |= attachment.size.replace(size) != Some(size);
        let is_owned =
            self.size_owner.owner.is_some_and(|owner| owner != id && self.is_here(owner));
        if !is_owned {
            self.own_size(id, size);
        }
    }

    /// A client sends the size of its terminal. One that sends the same size again takes control of the terminal
    /// size.
    pub(super) fn window_sized(&mut self, id: AttachmentId, size: Size) {
        let size = size.at_most_largest();
        if self.attachments.get(&id).is_some_and(|attachment| attachment.size == Some(size)) {
            self.typed(id);
        } else {
            self.sized(id, size);
        }
    }

    /// A client has typed: the terminal gets the size of its window.
    pub(super) fn typed(&mut self, id: AttachmentId) {
        let Some(attachment) = self.attachments.get_mut(&id) else { return };
        if attachment.typed == 0 || attachment.typed != self.size_owner.typed {
            self.size_owner.typed += 1;
            attachment.typed = self.size_owner.typed;
            self.unrecorded = true;
        }
        if let Some(size) = attachment.size
            && self.size_owner.owner != Some(id)
        {
            self.own_size(id, size);
        }
    }

    fn own_size(&mut self, id: AttachmentId, size: Size) {
        self.unrecorded = true;
        let former = self.size_owner.owner.replace(id);
        let is_new = former != Some(id) || self.size_owner.size != Some(size);
        self.size_owner.size = Some(size);
        self.controls.resize(size);
        if is_new {
            self.announce(&SessionEvent::SizeOwner { viewer: id.0, size }, None);
        }
    }

    /// The terminal gets a size that is not that of a client's window. The next client that types replaces it.
    pub(super) fn set_foreign_size(&mut self, size: Size) {
        let size = size.at_most_largest();
        if size.width == 0 || size.height == 0 {
            return;
        }
        self.unrecorded = true;
        self.size_owner.owner = None;
        self.size_owner.size = Some(size);
        self.controls.resize(size);
        self.announce(&SessionEvent::SizeOwner { viewer: NOBODY, size }, None);
    }

    /// An attachment has left. If it owned the size, the terminal gets the size of the client that typed last before it,
    /// or keeps its own.
    fn leave_size(&mut self, id: AttachmentId) {
        if self.size_owner.owner != Some(id) {
            return;
        }
        self.size_owner.owner = None;
        let here = self.attachments.iter().filter(|(_, other)| other.connection.is_some());
        let sized = here.filter_map(|(id, other)| Some((other.typed, *id, other.size?)));
        if let Some((_, next, size)) = sized.max_by_key(|(typed, id, _)| (*typed, *id)) {
            self.own_size(next, size);
        } else if let Some(size) = self.size_owner.size {
            self.announce(&SessionEvent::SizeOwner { viewer: NOBODY, size }, None);
        }
    }

    /// Sends the terminal's size to the engine again, which may not have received it.
    pub(super) fn repeat_size(&mut self) {
        if let Some(size) = self.size_owner.size.filter(|_| self.process.tty) {
            self.controls.resize(size);
        }
    }

    /// Whose size the terminal has, for the record.
    pub(super) fn size_record(&self) -> (Option<u64>, Option<Size>) {
        (self.size_owner.owner.map(|owner| owner.0), self.size_owner.size)
    }

    fn is_here(&self, id: AttachmentId) -> bool {
        self.attachments.get(&id).is_some_and(|attachment| attachment.connection.is_some())
    }

    /// Whether a reply of this attachment's terminal is passed on: it answers an open question, and comes from the owner
    /// of the size.
    pub(super) fn may_reply(&mut self, id: AttachmentId, question: Question) -> bool {
        self.search_questions();
        // The same sequence is a function key.
        if question == Question::Cursor(None) && !self.questions.open.asks_for_cursor() {
            return true;
        }
        let owner = self.size_owner.owner.filter(|owner| self.is_here(*owner));
        let is_owner = owner.is_none_or(|owner| owner == id);
        // Terminals report some changes unasked.
        is_owner && (question == Question::Device || self.questions.open.close(question))
    }

    fn search_questions(&mut self) {
        let (end, Questions { open, at }) = (self.stdout.end(), &mut self.questions);
        *at = (*at).max(end.saturating_sub(MOST_SEARCHED)).max(self.stdout.start());
        let mut bytes = Vec::new();
        self.stdout.read(*at, usize::MAX, &mut bytes);
        open.follow(&bytes);
        *at = end;
    }

    /// Queues the events that each new connection begins with.
    pub(super) fn introduce(&mut self, id: AttachmentId) {
        let viewers = self.attachments.len();
        let others = self.attachments.iter().filter(|(other, _)| **other != id);
        let others = others.take(MOST_NAMED).map(|(id, other)| viewer(*id, other)).collect();
        let viewer = self.size_owner.owner.map_or(NOBODY, |owner| owner.0);
        let size = self.size_owner.size.map(|size| SessionEvent::SizeOwner { viewer, size });
        let recording = self.recorder.as_ref().map(Recorder::event);
        if let Some(Attachment { events, .. }) = self.attachments.get_mut(&id) {
            // Drops queued ones: they are outdated.
            events.retain(|event| {
                !matches!(
                    event,
                    SessionEvent::Viewers { .. }
                        | SessionEvent::SizeOwner { .. }
                        | SessionEvent::Recording { .. }
                )
            });
            queue(events, SessionEvent::Viewers { own: id.0, viewers, others });
            for event in size.into_iter().chain(recording) {
                queue(events, event);
            }
        }
    }

    /// Notifies the other clients of a new attachment.
    pub(super) fn announce_joined(&mut self, id: AttachmentId) {
        let viewers = self.attachments.len();
        let Some(viewer) = self.attachments.get(&id).map(|attachment| viewer(id, attachment))
        else {
            return;
        };
        self.announce(&SessionEvent::ViewerJoined { viewer, viewers }, Some(id));
    }

    /// An attachment was removed.
    pub(super) fn announce_left(&mut self, id: AttachmentId, attachment: &Attachment) {
        if self.ending.is_some() {
            return;
        }
        // Clients redraw their screens for another size, which would remove the notice that somebody has left.
        self.leave_size(id);
        let (viewer, viewers) = (viewer(id, attachment), self.attachments.len());
        self.announce(&SessionEvent::ViewerLeft { viewer, viewers }, None);
    }

    pub(super) fn announce(&mut self, event: &SessionEvent, except: Option<AttachmentId>) {
        for (id, Attachment { events, connection, .. }) in &mut self.attachments {
            // A client without a connection gets the current state when it reconnects.
            if Some(*id) == except || connection.is_none() {
                continue;
            }
            queue(events, event.clone());
        }
    }
}

/// Queues an event for a client, unless the same event is the last in the queue. Drops the oldest one if there are too
/// many.
pub(super) fn queue(events: &mut VecDeque<SessionEvent>, event: SessionEvent) {
    if events.back() == Some(&event) {
        return;
    }
    if events.len() >= MOST_EVENTS {
        events.pop_front();
    }
    events.push_back(event);
}

fn viewer(id: AttachmentId, attachment: &Attachment) -> Viewer {
    let mode = if attachment.may_write { ViewerMode::ReadWrite } else { ViewerMode::ReadOnly };
    Viewer { id: id.0, mode, grant: attachment.grant.clone() }
}
