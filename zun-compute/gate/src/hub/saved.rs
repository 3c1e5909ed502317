//! The record of a session, from which the next process continues it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tracing::warn;
use zun_common::id::ProjectId;
use zun_common::recording::RecordingInfo;

use super::streams::{Inodes, Streams};
use crate::engine::{Run, Target};
use crate::kept::{DescriptorStore, Record, session_name};
use crate::session::{Limits, Progress, Session, SessionRecord};

/// The serialized state of a session.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    target: Target,
    run: Run,
    inodes: Inodes,
    session: SessionRecord,
    /// The recording, if the session is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recording: Option<RecordingInfo>,
}

/// The record of a session in the descriptor store. Dropping it removes the record, unless the process ends.
#[derive(Debug)]
pub(super) struct Saved {
    store: Arc<DescriptorStore>,
    name: String,
    /// `None` if nothing is kept.
    record: Option<(Record, Inodes)>,
    target: Target,
    run: Run,
    recording: Option<RecordingInfo>,
}

/// A session of a former process.
pub(super) struct Restored {
    pub(super) session: Session,
    pub(super) saved: Saved,
    pub(super) streams: Streams,
    /// The clients that were connected: their grants, and whether they sent input.
    pub(super) clients: Vec<(String, bool)>,
    /// The recording, if the session is recorded.
    pub(super) recording: Option<RecordingInfo>,
}

impl Saved {
    /// Records a new session, and stores its descriptors.
    pub(super) fn begin(
        (store, number): (&Arc<DescriptorStore>, u64),
        (target, run, recording): (&Target, Run, Option<RecordingInfo>),
        session: &Session,
        streams: &Streams,
    ) -> io::Result<Self> {
        let (name, store) = (session_name(number), Arc::clone(store));
        let target = target.clone();
        let mut saved = Self { store, name, record: None, target, run, recording };
        if saved.store.keeps() {
            let (mut descriptors, inodes) = streams.kept(session)?;
            saved.record = Some((Record::create()?, inodes));
            saved.state(session);
            if let Some((record, _)) = &saved.record {
                descriptors.push(record.descriptor());
                saved.store.keep(&saved.name, &descriptors);
            }
        }
        Ok(saved)
    }

    /// Continues the session of a former process from its descriptors.
    pub(super) fn restore(
        (store, number): (&Arc<DescriptorStore>, u64),
        mut descriptors: Vec<OwnedFd>,
        limits_of: impl FnOnce(Option<&ProjectId>) -> Limits,
    ) -> io::Result<Restored> {
        let record = descriptors.iter().position(|one| Record::is_record(one.as_fd()));
        let record = record.ok_or_else(|| io::Error::other("the record is missing"))?;
        let record = Record::restored(descriptors.swap_remove(record).into())?;
        let State { target, run, inodes, session, recording } =
            serde_json::from_slice(record.state())?;
        let limits = limits_of(run.project.as_ref());
        let clients = session.clients().map(|(grant, writes)| (grant.to_owned(), writes)).collect();
        let progress = Progress::read(&record.progress());
        let in_rings = (progress.journal_position().offset, limits.memory.clone());
        let (streams, files) = Streams::restored(&inodes, &mut descriptors, in_rings)?;
        let (passed, now) = (streams.input.position(), Instant::now());
        let session = Session::restored((session, progress), limits, files, passed, now);
        let (name, store) = (session_name(number), Arc::clone(store));
        let record = Some((record, inodes));
        let saved = Self { store, name, record, target, run, recording: recording.clone() };
        Ok(Restored { session, saved, streams, clients, recording })
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) const fn run(&self) -> &Run {
        &self.run
    }

    pub(super) fn set_run(&mut self, run: Run) {
        self.run = run;
    }

    /// Sets the recording that the record names; `None` if the session is not recorded.
    pub(super) fn set_recording(&mut self, recording: Option<RecordingInfo>) {
        self.recording = recording;
    }

    /// Where the session's descriptors are kept, if they are.
    pub(super) fn place(&self) -> Option<(Arc<DescriptorStore>, String)> {
        self.record.as_ref().map(|_| (Arc::clone(&self.store), self.name.clone()))
    }

    /// The session has another stream of the engine, which was stored. The former one stays with the session's descriptors
    /// until its end.
    pub(super) fn set_stream(&mut self, streams: &Streams) {
        let Some((_, inodes)) = &mut self.record else { return };
        let found = inodes.set_stream(streams);
        self.check(found);
    }

    /// Whether the next process can continue the session.
    pub(super) const fn is_kept(&self) -> bool {
        self.record.is_some()
    }

    /// Writes all of the session's state.
    pub(super) fn state(&mut self, session: &Session) {
        let Some((record, inodes)) = &mut self.record else { return };
        let (target, run, inodes) = (self.target.clone(), self.run.clone(), *inodes);
        let (session_record, recording) = (session.record(), self.recording.clone());
        let state = State { target, run, inodes, session: session_record, recording };
        let written = serde_json::to_vec(&state).map_err(io::Error::from);
        let written = written.and_then(|state| record.set_state(state));
        self.check(written);
        self.progress(session);
    }

    /// Writes what changes with each byte.
    pub(super) fn progress(&mut self, session: &Session) {
        let Some((record, _)) = &mut self.record else { return };
        let written = record.set_progress(&session.progress().numbers());
        self.check(written);
    }

    /// The next process must not continue the session from an outdated record.
    fn check(&mut self, written: io::Result<()>) {
        if let Err(error) = written {
            warn!(target = %self.target, %error, "cannot save the state of a session: it ends when zun-console restarts");
            if let Some((store, name)) = self.leave() {
                store.forget(&name);
            }
        }
    }

    /// Stops keeping the session for the next process. Returns the store and the name of its descriptors, which the
    /// caller must remove.
    pub(super) fn leave(&mut self) -> Option<(Arc<DescriptorStore>, String)> {
        let place = self.place();
        self.record = None;
        place
    }
}
