//! Records a session: moves its output to the recording as it arrives.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{info, warn};
use zun_common::chain;
use zun_common::id::RecordingId;
use zun_common::pty::Size;
use zun_common::recording::{RecordPolicy, RecordingInfo};

use super::live::{Found, Live, Watch};
use super::{ConnectError, Hub};
use crate::engine::{Inspected, Owner, Target};
use crate::recording::{self, Batch, Recordings, Writer};
use crate::session::Session;

/// The pause after output could not be recorded.
const RETRY: Duration = Duration::from_secs(1);
/// How many attempts to record the last output of a session that has ended.
const LAST_ATTEMPTS: u32 = 5;

/// The recording of a session. If it is dropped before the session has ended, the next process continues the recording.
#[derive(Debug)]
pub(super) struct Recorder {
    recordings: Arc<Recordings>,
    info: RecordingInfo,
    /// `None` if it could not begin yet.
    writer: Option<Writer>,
}

/// The recording of a session that is being opened. It is removed unless the session begins.
pub(super) struct Beginning(Option<Recorder>);

/// What the recorder finds in the session.
enum Work {
    Batch(Batch),
    /// The session has ended, and all of it is recorded.
    End(String),
}

impl Beginning {
    /// What is recorded, if the session is.
    pub(super) fn info(&self) -> Option<&RecordingInfo> {
        self.0.as_ref().map(Recorder::info)
    }

    /// The session has begun.
    pub(super) fn begun(mut self) -> Option<Recorder> {
        self.0.take()
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let Some(Recorder { recordings, info, writer: Some(_) }) = self.0.take() {
            recordings.discard(info.id);
        }
    }
}

impl Recorder {
    /// Begins the recording of a session that is about to be opened, if its container asks for one.
    pub(super) async fn begin(
        hub: &Hub,
        (target, inspected, owner): (&Target, &Inspected, Option<Owner>),
        size: Option<Size>,
    ) -> Result<Beginning, ConnectError> {
        let Some(owner) = owner.filter(|owner| !owner.record.is_off()) else {
            return Ok(Beginning(None));
        };
        let Owner { project, container, name, record } = owner;
        let info = RecordingInfo {
            id: RecordingId::random(),
            project,
            container,
            container_name: name,
            exec: match target {
                Target::Exec(id) => Some(id.clone()),
                Target::Container(_) => None,
            },
            tty: inspected.process.tty,
            policy: record,
            started: recording::now(),
            ended: None,
            end: String::new(),
        };
        let recordings = Arc::clone(&hub.recordings);
        let begun = {
            let (recordings, info) = (Arc::clone(&recordings), info.clone());
            // A disk may be slow.
            spawn_blocking(move || recordings.begin(info, size)).await
        };
        let writer = match begun.unwrap_or_else(|interrupted| Err(interrupted.into())) {
            Ok(writer) => Some(writer),
            Err(error) if record == RecordPolicy::Required => {
                return Err(ConnectError::NotRecorded(error));
            }
            Err(error) => {
                warn!(%target, error = %chain(&error), "a session is not recorded");
                None
            }
        };
        info!(%target, recording.id = %info.id, policy = %record, "recording a session");
        Ok(Beginning(Some(Self { recordings, info, writer })))
    }

    /// Continues the recording of a session of a former process, or begins another one with what the session still has.
    pub(super) fn resume(hub: &Hub, info: RecordingInfo, session: &mut Session) -> Self {
        let recordings = Arc::clone(&hub.recordings);
        let writer = match recordings.resume(info.id) {
            Ok(writer) => Some(writer),
            Err(error) => {
                warn!(recording.id = %info.id, error = %chain(&error), "cannot continue a recording");
                None
            }
        };
        let next = writer.as_ref().map_or((0, 0), Writer::next);
        session.begin_recording(info.policy, next);
        let id = if writer.is_some() { info.id } else { RecordingId::random() };
        Self { recordings, info: RecordingInfo { id, ..info }, writer }
    }

    /// The description of the recording.
    pub(super) const fn info(&self) -> &RecordingInfo {
        &self.info
    }

    /// Records a session until it has ended, if it is recorded.
    pub(super) async fn run_if_any(recorder: Option<&mut Self>, live: &Live) {
        if let Some(recorder) = recorder {
            recorder.run(live).await;
        }
    }

    /// Records a session until it has ended. Safe to cancel: output that was not recorded stays in the session.
    async fn run(&mut self, live: &Live) {
        let (mut failed, mut gives_up) = (0, false);
        while !gives_up {
            let (batch, end) = match live.until(Watch::Others, |session, _| work(session)).await {
                Work::Batch(batch) => (batch, None),
                Work::End(end) => (Batch::default(), Some(end)),
            };
            let done = self.record(batch, end).await;
            match done {
                Ok(Done::Recorded(batch)) => {
                    failed = 0;
                    live.recorded(|session, _| session.recorded_output(&batch));
                }
                Ok(Done::Ended) => return,
                Err(error) => {
                    failed += 1;
                    gives_up = self.has_failed(live, failed, &*error);
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Handles the n-th failure in a row to record output. Returns whether to give up.
    fn has_failed(&mut self, live: &Live, times: u32, error: &dyn std::error::Error) -> bool {
        if times == 1 {
            warn!(recording.id = %self.info.id, error = %chain(error), "cannot record a session");
        }
        let is_over = live.change(|session, now| {
            session.recording_failed(now);
            session.is_over()
        });
        let gives_up = is_over && times >= LAST_ATTEMPTS;
        if gives_up {
            self.give_up(live);
        }
        gives_up
    }

    /// Records a batch, or the end.
    async fn record(&mut self, batch: Batch, end: Option<String>) -> Result<Done, Failure> {
        let (writer, recordings, info) =
            (self.writer.take(), Arc::clone(&self.recordings), self.info.clone());
        // A disk may be slow.
        let (writer, done) = spawn_blocking(move || {
            let begun = writer.map_or_else(|| recordings.begin(info, None), Ok);
            match (begun, end) {
                (Ok(mut writer), None) => {
                    let written = writer.write(&batch).map(|()| Done::Recorded(batch));
                    (Some(writer), written.map_err(Failure::from))
                }
                (Ok(writer), Some(end)) => {
                    finish(writer, &end);
                    (None, Ok(Done::Ended))
                }
                (Err(error), _) => (None, Err(Failure::from(error))),
            }
        })
        .await?;
        self.writer = writer;
        done
    }

    /// The rest of the output of a session that has ended cannot be recorded.
    fn give_up(&mut self, live: &Live) {
        let summary = live.read(|session| session.ending_summary());
        let Some(writer) = self.writer.take() else { return };
        finish(writer, &format!("{summary}; its last output is missing"));
    }

    /// The gate stops. If it does not keep the session for the next process, the recording ends.
    pub(super) fn stop(recorder: Option<Self>, live: &Live) {
        let Some(mut writer) = recorder.and_then(|recorder| recorder.writer) else { return };
        while let Some(batch) = live.read(|session| session.unrecorded_output()) {
            if writer.write(&batch).is_err() {
                break;
            }
            live.read(|session| session.recorded_output(&batch));
        }
        if !live.is_kept() {
            finish(writer, "the console gate was stopped");
        }
    }
}

/// Ends a recording. If that fails, the next process of the gate ends it.
fn finish(writer: Writer, end: &str) {
    let id = writer.info().id;
    if let Err(error) = writer.finish(end) {
        warn!(recording.id = %id, %error, "cannot end a recording");
    }
}

/// What was done.
enum Done {
    Recorded(Batch),
    Ended,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn work(session: &mut Session) -> Found<Work> {
    match session.unrecorded_output() {
        Some(batch) => Found::This(Work::Batch(batch)),
        None if session.is_over() => Found::This(Work::End(session.ending_summary())),
        None => Found::Nothing(None),
    }
}
