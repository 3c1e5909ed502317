//! What a restarted gate needs to continue a session.
//!
//! The state is written after each change ([`SessionRecord`]), and what changes with each byte separately
//! ([`Progress`]). The bytes themselves are in the [`Files`].
//!
//! **To add state to a session:** add a field to [`SessionRecord`] or [`AttachmentRecord`] with `#[serde(default)]`: a gate
//! of the former version has written the record, and one of the former version reads it after a downgrade. Fill it in
//! [`Session::record`] and [`Attachment::record`], and use it in [`Session::restored`] and [`Attachment::restored`]: the
//! compiler reports what is missing. Change it within [`Live::change`](crate::hub::Live::change), which writes the
//! record. Connections are not restored.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tracing::warn;
use zun_common::docker_stream::Stream as EngineStream;
use zun_common::id::EngineId;
use zun_common::pty::{Ending, SessionEvent, Size};

use super::attachment::{Attachment, Cursor, ScreenState, Signals, Stdin};
use super::controls::{Controls, ControlsRecord};
use super::input::InputQueue;
use super::on_disconnect::{DisconnectRecord, DisconnectState};
use super::screen::Follower;
use super::token::KeyHash;
use super::viewers::{Questions, SizeOwner, queue};
use super::{AttachmentId, Limits, Process, Session, SpillLimits};
use crate::kept::{MOST_NUMBERS, memory_file};
use crate::replies::ReplyFilter;
use crate::ring::{Places, Ring, Spill};

/// The files of a session.
#[derive(Debug)]
pub struct Files {
    /// The ring of stdout.
    pub stdout: File,
    /// The ring of stderr.
    pub stderr: File,
    /// Stdin that clients have sent.
    pub spool: File,
    /// Without a terminal, the parts of stdout and stderr on disk.
    pub spilled: Option<[File; 2]>,
}

impl Files {
    /// Creates empty files.
    pub fn create(process: Process, limits: &SpillLimits) -> io::Result<Self> {
        let directory = limits.directory.as_ref().filter(|_| !process.tty);
        Ok(Self {
            stdout: memory_file("stdout")?,
            stderr: memory_file("stderr")?,
            spool: memory_file("spool")?,
            spilled: directory.and_then(|directory| spill_files(directory)),
        })
    }

    /// Removes and returns the files on disk.
    pub(super) fn spills(&mut self, limits: &SpillLimits) -> [Option<Spill>; 2] {
        let spill = |file| Some(Spill::new(file, limits.stream, limits.space.clone()));
        self.spilled.take().map_or([None, None], |files| files.map(spill))
    }
}

/// Creates the files on disk. If that fails, slow clients block the process sooner.
fn spill_files(directory: &Path) -> Option<[File; 2]> {
    let created = Spill::create(directory).and_then(|first| Ok([first, Spill::create(directory)?]));
    if let Err(error) = &created {
        warn!(%error, "cannot keep output in {}", directory.display());
    }
    created.ok()
}

/// The state of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub struct SessionRecord {
    process: Process,
    #[serde(default)]
    exited: bool,
    #[serde(default)]
    closed: bool,
    #[serde(default)]
    ending: Option<Ending>,
    #[serde(default)]
    controls: ControlsRecord,
    #[serde(default)]
    attachments: BTreeMap<u64, AttachmentRecord>,
    last_id: u64,
    /// Whose size the terminal has, and which.
    #[serde(default)]
    size: (Option<u64>, Option<Size>),
    /// Whether the gate has held the stream since the start of the process.
    #[serde(default)]
    has_screen: bool,
    #[serde(default, rename = "desertion")]
    on_disconnect: DisconnectRecord,
}

/// The state of an attachment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent facts")]
pub(super) struct AttachmentRecord {
    name: String,
    token: KeyHash,
    key: KeyHash,
    grant: String,
    may_write: bool,
    #[serde(default)]
    files: Option<EngineId>,
    writes: bool,
    #[serde(default, rename = "greeted")]
    hello_sent: bool,
    #[serde(default, rename = "heard")]
    confirmed: bool,
    /// Whether a client is connected.
    #[serde(default)]
    connected: bool,
    window: u64,
    /// What the client has of stdout and stderr.
    #[serde(default)]
    has: (u64, u64),
    /// How many signals were accepted and sent.
    #[serde(default)]
    signals: (u64, u64),
    /// Events that its client has not received.
    #[serde(default)]
    events: VecDeque<SessionEvent>,
    /// The size of its terminal.
    #[serde(default)]
    size: Option<Size>,
    #[serde(default)]
    typed: u64,
    /// Whether the client needs the screen, or may not have received it.
    #[serde(default)]
    draws: bool,
}

/// The place in the engine's output up to which everything is in the rings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalPosition {
    /// The offset in the journal.
    pub offset: u64,
    /// The frame of Docker's multiplexed output that has begun before, and how many of its bytes are missing.
    pub frame: Option<(EngineStream, usize)>,
}

/// What changes with each byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    journal_position: JournalPosition,
    stdout: Places,
    stderr: Places,
    running: bool,
    /// How many bytes of stdin were accepted in all.
    spooled: u64,
    /// The offset of the end of stdin, if it has ended.
    end: Option<u64>,
    /// Whether the process accepts no more input.
    input_closed: bool,
    /// How much stdin of each attachment was accepted, and whether it has ended.
    attachments: Vec<(u64, u64, bool)>,
}

/// The numbers of a progress before those of the attachments.
const FIXED: usize = 13;
/// The numbers of an attachment.
const EACH: usize = 3;
/// The most attachments of a session.
pub const MOST_ATTACHMENTS: usize = (MOST_NUMBERS - FIXED) / EACH;

impl Progress {
    /// Serializes the progress as at most `MOST_NUMBERS` numbers.
    pub fn numbers(&self) -> Vec<u64> {
        let (stream, missing) = match self.journal_position.frame {
            None => (0, 0),
            Some((EngineStream::Stdout, missing)) => (1, missing as u64),
            Some((EngineStream::Stderr, missing)) => (2, missing as u64),
        };
        let flags = u64::from(self.running) | (u64::from(self.input_closed) << 1);
        let end = self.end.map_or(0, |end| end + 1);
        let mut numbers =
            vec![self.journal_position.offset, stream, missing, flags, self.spooled, end];
        for Places { start, memory_start, end } in [self.stdout, self.stderr] {
            numbers.extend([start, memory_start, end]);
        }
        numbers.push(self.attachments.len() as u64);
        for (id, received, ended) in &self.attachments {
            numbers.extend([*id, *received, u64::from(*ended)]);
        }
        numbers
    }

    /// The place up to which the engine's output is in the rings.
    pub const fn journal_position(&self) -> JournalPosition {
        self.journal_position
    }

    /// Reads what [`Progress::numbers`] returned. Missing numbers count as zero.
    pub fn read(numbers: &[u64]) -> Self {
        let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
        let missing = usize::try_from(at(2)).unwrap_or_default();
        let frame = match at(1) {
            1 => Some((EngineStream::Stdout, missing)),
            2 => Some((EngineStream::Stderr, missing)),
            _ => None,
        };
        let count = usize::try_from(at(12)).unwrap_or_default().min(MOST_ATTACHMENTS);
        let attachments = (0..count).map(|index| {
            let first = FIXED + EACH * index;
            (at(first), at(first + 1), at(first + 2) != 0)
        });
        Self {
            journal_position: JournalPosition { offset: at(0), frame },
            running: at(3) & 1 != 0,
            input_closed: at(3) & 2 != 0,
            spooled: at(4),
            end: at(5).checked_sub(1),
            stdout: Places { start: at(6), memory_start: at(7), end: at(8) },
            stderr: Places { start: at(9), memory_start: at(10), end: at(11) },
            attachments: attachments.collect(),
        }
    }
}

impl SessionRecord {
    /// The clients that were connected to the former gate: their grants, and whether they sent input.
    pub fn clients(&self) -> impl Iterator<Item = (&str, bool)> {
        let connected = self.attachments.values().filter(|one| one.connected);
        connected.map(|one| (one.grant.as_str(), one.writes))
    }
}

impl Session {
    /// The state, to continue the session after a restart.
    pub fn record(&self) -> SessionRecord {
        let attachments = self.attachments.iter();
        SessionRecord {
            process: self.process,
            exited: self.exited,
            closed: self.closed,
            ending: self.ending.clone(),
            controls: self.controls.record(|id| id.0),
            attachments: attachments.map(|(id, one)| (id.0, one.record())).collect(),
            last_id: self.last_id,
            size: self.size_record(),
            has_screen: self.follower.as_ref().is_some_and(Follower::is_complete),
            on_disconnect: self.on_disconnect.record(),
        }
    }

    /// What changes with each byte.
    pub fn progress(&self) -> Progress {
        let attachments = self.attachments.iter();
        let (spooled, end) = self.input.spooled();
        // On a terminal, the end of one client's input is not that of the others.
        let end = end.filter(|_| !self.process.tty);
        Progress {
            journal_position: self.journal_position,
            stdout: self.stdout.places(),
            stderr: self.stderr.places(),
            running: self.process.running,
            spooled,
            end,
            input_closed: !self.input.is_open(),
            attachments: attachments
                // Held input is in no file. It was not acknowledged, so the client sends it again.
                .map(|(id, one)| {
                    (id.0, one.stdin.received - one.replies.held() as u64, one.stdin.ended)
                })
                .collect(),
        }
    }

    /// Continues the session of a former gate. `passed` is how much stdin has left the spool. Its clients have lost their
    /// connections now.
    pub fn restored(
        (record, progress): (SessionRecord, Progress),
        limits: Limits,
        mut files: Files,
        passed: u64,
        now: Instant,
    ) -> Self {
        let SessionRecord {
            mut process,
            exited,
            closed,
            ending,
            controls,
            attachments,
            last_id,
            size,
            has_screen,
            on_disconnect,
        } = record;
        let Progress {
            journal_position, stdout, stderr, running, spooled, end, input_closed, ..
        } = progress;
        process.running = ending.is_none() && (process.running || running);
        // Former versions also recorded this for terminals.
        let end = end.filter(|_| !process.tty);
        let [of_stdout, of_stderr] = files.spills(&limits.spill);
        let ring = |file, places, spill| {
            Ring::restored(file, places, limits.ring, limits.memory.clone()).with_spill(spill)
        };
        let stdout = ring(files.stdout, stdout, of_stdout);
        let stderr = ring(files.stderr, stderr, of_stderr);
        let attachments = restored(attachments, progress.attachments, (&stdout, &stderr), now);
        let follower = Follower::restored(stdout.start(), size.1, has_screen);
        let typed = attachments.values().map(|one: &Attachment| one.typed);
        let size_owner = SizeOwner::restored(size, typed);
        let spool = (files.spool, limits.memory.clone());
        let mut session = Self {
            process,
            attachments,
            follower: process.tty.then_some(follower),
            recorder: None,
            size_owner,
            questions: Questions::default(),
            stdout,
            stderr,
            connections: BTreeMap::new(),
            input: InputQueue::restored(spool, (passed, spooled), end, !input_closed),
            controls: Controls::restored(controls, AttachmentId),
            journal_position,
            ending,
            exited: false,
            closed,
            restarting: false,
            last_input: None,
            unrecorded: false,
            last_id,
            limits,
            departures: VecDeque::new(),
            last_left: now,
            on_disconnect: DisconnectState::restored(on_disconnect, now),
        };
        if exited {
            session.exited();
        }
        session.mark_signal_unconfirmed(now);
        session.repeat_size();
        session
    }

    /// The record has everything that happened before this call, so the rings can free the bytes that they have dropped.
    pub fn recorded(&mut self) {
        self.stdout.free();
        self.stderr.free();
    }

    /// Whether [`Session::record`] has changed since the last call, so that the progress alone is not enough. The
    /// offsets of clients may be outdated: clients send them when they resume.
    pub const fn take_unrecorded(&mut self) -> bool {
        std::mem::replace(&mut self.unrecorded, false)
    }

    /// The place up to which the engine's output is in the rings.
    pub const fn journal_position(&self) -> JournalPosition {
        self.journal_position
    }

    /// The engine's output up to this place is in the rings.
    pub const fn set_journal_position(&mut self, journal_position: JournalPosition) {
        self.journal_position = journal_position;
    }

    /// The engine's output continues after this offset, with another frame. What the process has printed in between is
    /// missing: clients get an event.
    pub fn reattached(&mut self, offset: u64, now: Instant) {
        self.journal_position = JournalPosition { offset, frame: None };
        self.mark_signal_unconfirmed(now);
        self.repeat_size();
        for attachment in self.attachments.values_mut() {
            queue(&mut attachment.events, SessionEvent::Reattached);
        }
    }

    /// The files on disk of stdout and stderr, if there are any.
    pub fn spilled(&self) -> Option<[&File; 2]> {
        Some([self.stdout.spill_file()?, self.stderr.spill_file()?])
    }

    /// The files: stdout, stderr, and the spool of stdin.
    pub const fn files(&self) -> [&File; 3] {
        [self.stdout.file(), self.stderr.file(), self.input.file()]
    }
}

/// Continues attachments. The rest of their state is in the progress.
fn restored(
    records: BTreeMap<u64, AttachmentRecord>,
    progress: Vec<(u64, u64, bool)>,
    rings: (&Ring, &Ring),
    now: Instant,
) -> BTreeMap<AttachmentId, Attachment> {
    let progress = progress.into_iter().map(|(id, bytes, ended)| (id, (bytes, ended)));
    let accepted: BTreeMap<_, _> = progress.collect();
    let attachments = records.into_iter().map(|(id, one)| {
        let accepted = accepted.get(&id).copied().unwrap_or_default();
        (AttachmentId(id), Attachment::restored(one, accepted, rings, now))
    });
    attachments.collect()
}

impl Attachment {
    fn record(&self) -> AttachmentRecord {
        AttachmentRecord {
            name: self.name.clone(),
            token: self.token,
            key: self.key,
            grant: self.grant.clone(),
            may_write: self.may_write,
            files: self.files.clone(),
            writes: self.writes,
            hello_sent: self.hello_sent,
            confirmed: self.confirmed,
            connected: self.connection.is_some(),
            window: self.window,
            has: (self.stdout.acknowledged, self.stderr.acknowledged),
            signals: (self.signals.received, self.signals.sent),
            events: self.events.clone(),
            size: self.size,
            typed: self.typed,
            draws: self.draws(),
        }
    }

    /// Whether the client needs the screen, or may not have received it.
    pub(super) fn draws(&self) -> bool {
        self.screen.is_due || self.screen.drawn_at.is_some_and(|at| at >= self.stdout.acknowledged)
    }

    fn restored(
        record: AttachmentRecord,
        (received, ended): (u64, bool),
        (stdout, stderr): (&Ring, &Ring),
        now: Instant,
    ) -> Self {
        let AttachmentRecord {
            name,
            token,
            key,
            grant,
            may_write,
            files,
            writes,
            hello_sent,
            confirmed,
            connected: _,
            window,
            has,
            signals: (signalled, sent),
            events,
            size,
            typed,
            draws,
        } = record;
        // The former gate may have sent all output.
        let cursor = |ring: &Ring, has: u64| Cursor { sent: ring.end(), acknowledged: has };
        Self {
            name,
            token,
            key,
            grant,
            // When it was opened is not recorded.
            since: now,
            may_write,
            files,
            writes,
            hello_sent,
            confirmed,
            connection: None,
            lost_at: Some(now),
            window,
            stdout: cursor(stdout, has.0),
            stderr: cursor(stderr, has.1),
            pending_since: None,
            awaited: None,
            // Accepted input is in the spool, from which the engine gets it.
            stdin: Stdin {
                received,
                written: received,
                acknowledged: received,
                ended,
                end_written: ended,
                ..Stdin::default()
            },
            replies: ReplyFilter::default(),
            size,
            typed,
            screen: ScreenState { is_due: draws, drawn_at: None },
            signals: Signals { received: signalled, sent, acknowledged: 0 },
            events,
            stderr_next: false,
            status_sent: false,
        }
    }
}
