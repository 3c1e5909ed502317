//! The place of a recording in a session's output: a cursor, as attachments have.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use zun_common::pty::{EndingReason, SessionEvent, Size, close};
use zun_common::recording::{GRACE_SECONDS, RecordPolicy};

use super::{Session, output};
use crate::recording::Batch;

/// The most bytes of one stream in a batch.
const BATCH: usize = 256 << 10;
/// The most sizes that wait for the recording. Older ones are dropped.
const MOST_SIZES: usize = 256;
/// How long a session whose recording is required may continue without one.
const GRACE: Duration = Duration::from_secs(GRACE_SECONDS);

/// The recording of a session.
#[derive(Debug)]
pub(super) struct Recorder {
    policy: RecordPolicy,
    /// The offsets in stdout and stderr of the output that follows.
    next: (u64, u64),
    /// Sizes of the terminal, and the offsets in stdout from which they apply.
    sizes: VecDeque<(u64, Size)>,
    /// Since when output cannot be recorded.
    failed: Option<Instant>,
}

impl Recorder {
    const fn is_required(&self) -> bool {
        matches!(self.policy, RecordPolicy::Required)
    }

    pub(super) const fn event(&self) -> SessionEvent {
        SessionEvent::Recording { on: self.failed.is_none(), required: self.is_required() }
    }

    pub(super) fn resized(&mut self, size: Size, at: u64) {
        if self.sizes.len() >= MOST_SIZES {
            self.sizes.pop_front();
        }
        self.sizes.push_back((at, size));
    }
}

impl Session {
    /// Records the session from these offsets in stdout and stderr on.
    pub fn begin_recording(&mut self, policy: RecordPolicy, next: (u64, u64)) {
        let (sizes, failed) = (VecDeque::new(), None);
        self.recorder = Some(Recorder { policy, next, sizes, failed });
    }

    /// The output and sizes that follow in the recording, if there are any.
    pub fn unrecorded_output(&self) -> Option<Batch> {
        let Recorder { next, sizes, .. } = self.recorder.as_ref()?;
        let (mut from, mut batch) = (*next, Batch::default());
        for (from, ring) in [(&mut from.0, &self.stdout), (&mut from.1, &self.stderr)] {
            batch.missing += ring.start().saturating_sub(*from);
            *from = (*from).max(ring.start());
        }
        self.stdout.read(from.0, BATCH, &mut batch.stdout);
        self.stderr.read(from.1, BATCH, &mut batch.stderr);
        batch.to = (from.0 + batch.stdout.len() as u64, from.1 + batch.stderr.len() as u64);
        let due = sizes.iter().take_while(|(at, _)| *at <= batch.to.0);
        let place = |at: u64| usize::try_from(at.saturating_sub(from.0)).unwrap_or(usize::MAX);
        batch.sizes = due.map(|(at, size)| (place(*at), *size)).collect();
        (batch.to != *next || !batch.sizes.is_empty()).then_some(batch)
    }

    /// A batch is in the recording.
    pub fn recorded_output(&mut self, batch: &Batch) {
        let Some(recorder) = &mut self.recorder else { return };
        recorder.next = batch.to;
        recorder.sizes.drain(..batch.sizes.len().min(recorder.sizes.len()));
        if recorder.failed.take().is_some() {
            let event = recorder.event();
            self.unrecorded = true;
            self.announce(&event, None);
        }
    }

    /// Output cannot be recorded at present.
    pub fn recording_failed(&mut self, now: Instant) {
        let Some(recorder) = &mut self.recorder else { return };
        if recorder.failed.is_none() {
            recorder.failed = Some(now);
            let event = recorder.event();
            self.announce(&event, None);
        }
    }

    /// Whether its output is recorded.
    pub const fn is_recorded(&self) -> bool {
        self.recorder.is_some()
    }

    /// Whether input is held, because the session must be recorded and cannot be.
    pub(super) fn is_frozen(&self) -> bool {
        self.recorder.as_ref().is_some_and(|one| one.is_required() && one.failed.is_some())
    }

    /// The offset from which output must be kept for a required recording. Without clients, a process does not wait for
    /// a recording that fails.
    pub(super) fn kept_for_recording(&self) -> Option<(u64, u64)> {
        let recorder = self.recorder.as_ref().filter(|recorder| recorder.is_required())?;
        let waits = recorder.failed.is_none() || !self.attachments.is_empty();
        waits.then_some(recorder.next)
    }

    /// Whether a terminal's output can be read without losing what must be recorded.
    pub(super) fn has_room_for_recording(&mut self) -> bool {
        match self.kept_for_recording() {
            Some((stdout, _)) => self.stdout.reserve(2 * output::LARGEST_READ, stdout),
            None => true,
        }
    }

    /// When the clients of a session that must be recorded, but cannot be, are disconnected.
    pub(super) fn recording_expiry(&self) -> Option<Instant> {
        let recorder = self.recorder.as_ref().filter(|recorder| recorder.is_required())?;
        let failed = recorder.failed.filter(|_| !self.attachments.is_empty())?;
        failed.checked_add(GRACE)
    }

    /// Ends the session for all clients if it could not be recorded for too long.
    pub(super) fn expire_recording(&mut self, now: Instant) {
        if self.recording_expiry().is_none_or(|expiry| expiry > now) {
            return;
        }
        while let Some(id) = self.attachments.keys().next().copied() {
            self.end_attachment(id, close::NOT_RECORDED, "not recorded");
        }
        self.end_stdin_without_writers();
    }

    /// How the session ended, in a few words.
    pub fn ending_summary(&self) -> String {
        let Some(ending) = &self.ending else { return String::new() };
        let summary = match ending.zun.reason {
            EndingReason::Exited => match ending.zun.exit_code {
                Some(code) => return format!("the process exited with {code}"),
                None => "the process exited",
            },
            EndingReason::NotStarted => "the process could not be started",
            EndingReason::Restarted => "the container was started again",
            EndingReason::Removed => "the container was removed",
            EndingReason::EngineLost => "the engine ended the stream",
            EndingReason::Detached | EndingReason::Revoked | EndingReason::Other => {
                "the session ended"
            }
        };
        summary.to_owned()
    }
}
