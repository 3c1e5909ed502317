//! All sessions of the gate: opens them, and finds those that clients resume.

mod access;
pub(crate) mod connected;
mod live;
mod opening;
mod pace;
mod projects;
mod pumps;
mod reattach;
mod recorder;
mod run;
mod saved;
mod streams;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;
use tracing::{info, warn};
use zun_common::chain;
use zun_common::id::{EngineId, ProjectId};
use zun_common::pty::{ClientHello, Resume};
use zun_common::shutdown::Tasks;

pub use connected::{Connected, Outgoing};
pub use live::{Live, ToDo};
pub use projects::HubLimits;

use crate::engine::{Engine, EngineError, Target, exit_after_restart};
use crate::kept::{DescriptorStore, Inherited, session_name};
use crate::recording::{NoRecording, Recordings};
use crate::rights::Rights;
use crate::session::{JoinRefused, KeyHash, Limits};
use crate::stats::{Gauges, Limit, Stats};
use opening::Opening;
use pace::Pace;
use projects::Projects;
use recorder::Recorder;
use run::Awaited;
use saved::{Restored, Saved};
use streams::Streams;

/// A client with its grant.
#[derive(Debug, Clone)]
pub struct Client {
    /// The ID of its grant.
    pub grant: String,
    /// Its key.
    pub key: KeyHash,
    /// Whether the grant allows input.
    pub may_write: bool,
    /// The container whose files it may copy.
    pub files: Option<EngineId>,
    /// What it asks for.
    pub hello: ClientHello,
}

/// Why a client cannot be connected.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The session refuses it.
    #[error("refused")]
    Refused(#[from] JoinRefused),
    /// A limit is reached.
    #[error("the gate has reached {}", .0.name())]
    Limit(Limit),
    /// The engine cannot open the stream.
    #[error("cannot open the stream")]
    Engine(#[from] EngineError),
    /// The client's grant was revoked while its session was being opened.
    #[error("the grant was revoked")]
    Revoked,
    /// The session must be recorded, and the recording cannot begin.
    #[error("the session must be recorded")]
    NotRecorded(#[source] NoRecording),
    /// There are no random numbers for a token.
    #[error("cannot create a token")]
    NoRandomness,
    /// The files of the session cannot be created.
    #[error("cannot create the files of the session")]
    Files(#[source] io::Error),
    /// The stream cannot be held, after the engine has opened it.
    #[error("cannot hold the stream that the engine has opened")]
    StreamLost(#[source] io::Error),
    /// The gate is shutting down.
    #[error("the console gate is shutting down")]
    Stopping,
}

/// A client that was connected to a former process of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerClient {
    /// What it was connected to.
    pub target: Target,
    /// The ID of its grant.
    pub grant: String,
    /// Whether it sent input.
    pub writes: bool,
}

/// The sessions.
pub struct Hub {
    engine: Arc<dyn Engine>,
    limits: Limits,
    most: HubLimits,
    tasks: Tasks,
    store: Arc<DescriptorStore>,
    recordings: Arc<Recordings>,
    /// Limits the rate at which screens follow the output.
    pace: Pace,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    last: u64,
    live: BTreeMap<u64, Arc<Live>>,
    /// How many places are reserved for sessions that are being opened.
    reserved: usize,
    projects: Projects,
    /// One entry for each target whose session is being opened, so that only one is opened.
    opening: HashMap<Target, Opening>,
}

impl Hub {
    /// Creates a hub for sessions within these limits, which are kept in `store` and recorded in `recordings`. Its tasks
    /// belong to `tasks`.
    pub fn new(
        engine: Arc<dyn Engine>,
        (limits, most): (Limits, impl Into<HubLimits>),
        tasks: Tasks,
        (store, recordings): (Arc<DescriptorStore>, Arc<Recordings>),
    ) -> Arc<Self> {
        let (pace, sessions, most) = (Pace::default(), Mutex::default(), most.into());
        Arc::new(Self { engine, limits, most, tasks, store, recordings, pace, sessions })
    }

    /// Continues the sessions of a former process. Returns the clients that were connected to that process.
    pub fn restore(self: &Arc<Self>, inherited: &mut Inherited) -> Vec<FormerClient> {
        let mut former = Vec::new();
        while let Some((number, descriptors)) = inherited.session() {
            let limits = |project: Option<&ProjectId>| self.limits_of(project);
            match Saved::restore((&self.store, number), descriptors, limits) {
                Ok(Restored { mut session, mut saved, streams, clients, recording }) => {
                    let recorder = recording.map(|info| Recorder::resume(self, info, &mut session));
                    saved.set_recording(recorder.as_ref().map(Recorder::info).cloned());
                    let (target, run) = (saved.target().clone(), saved.run().clone());
                    let live = Arc::new(Live::new(session, saved));
                    former.extend(clients.into_iter().map(|(grant, writes)| FormerClient {
                        target: target.clone(),
                        grant,
                        writes,
                    }));
                    info!(%target, "continued a session after the restart of the gate");
                    let output_ended = Arc::<Notify>::default();
                    let exit = exit_after_restart(&self.engine, (target, run), &output_ended);
                    let awaited = Awaited { output_ended, exit, again: true };
                    self.serve(number, live, (streams, recorder), awaited);
                }
                Err(error) => {
                    warn!(error = %chain(&error), "cannot continue a session after the restart of the gate");
                    self.store.forget(&session_name(number));
                }
            }
        }
        self.recordings.end_others();
        former
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// The counters.
    pub const fn stats(&self) -> &Stats {
        &self.limits.stats
    }

    /// The current gauges.
    pub fn gauges(&self) -> Gauges {
        let all = self.attachments();
        let viewers = all.iter().filter(|attachment| attachment.connected).count();
        Gauges {
            sessions: self.count(),
            viewers,
            away: all.len() - viewers,
            memory: self.limits.memory.used(),
            disk: self.limits.spill.space.used(),
            recordings: self.recordings.used(),
            denied: self.denied(),
        }
    }

    /// The recordings.
    pub fn recordings(&self) -> &Recordings {
        &self.recordings
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.sessions().live.len()
    }

    /// Whether a client can resume this session of the target.
    pub fn knows(&self, target: &Target, key: KeyHash, resume: &Resume) -> bool {
        self.find(resume)
            .filter(|live| live.target() == target)
            .is_some_and(|live| live.read(|session| session.knows(key, resume)))
    }

    /// Connects a client to a target: to the session that it resumes, to the present one, or to a new one. Starts nothing
    /// for a grant that is revoked meanwhile, as `rights` knows.
    pub async fn connect(
        self: &Arc<Self>,
        target: &Target,
        client: Client,
        rights: &Arc<Rights>,
    ) -> Result<Connected, ConnectError> {
        if let Some(resume) = &client.hello.resume {
            self.find(resume).filter(|live| live.target() == target).ok_or(JoinRefused::Unknown)?;
            return self.resume(client.key, &client.hello);
        }
        opening::connect(self, target, client, rights).await
    }

    /// Connects a client to a target again, if it opened an attachment after `since` with the same ticket and was
    /// disconnected before it could know of it.
    pub fn connect_again(
        &self,
        target: &Target,
        client: Client,
        since: Instant,
    ) -> Result<Connected, ConnectError> {
        opening::connect_again(self, target, client, since)
    }

    /// Whether sessions continue after a restart of the gate.
    pub fn is_kept(&self) -> bool {
        self.store.keeps()
    }

    /// Closes all connections, so that clients come back after the restart.
    pub fn restart(&self) {
        for live in self.sessions().live.values() {
            live.change(|session, _| session.restart());
        }
    }

    /// The number of a new session.
    fn next_number(&self) -> u64 {
        let mut sessions = self.sessions();
        sessions.last += 1;
        sessions.last
    }

    fn serve(
        self: &Arc<Self>,
        number: u64,
        live: Arc<Live>,
        (streams, mut recorder): (Streams, Option<Recorder>),
        awaited: Awaited,
    ) {
        {
            let mut sessions = self.sessions();
            sessions.last = sessions.last.max(number);
            sessions.live.insert(number, Arc::clone(&live));
        }
        let (hub, engine) = (Arc::clone(self), Arc::clone(&self.engine));
        self.tasks.spawn(async move {
            let recording = Recorder::run_if_any(recorder.as_mut(), &live);
            let running = run::run(&live, (&*engine, &hub.pace), streams, awaited);
            let served = async { tokio::join!(running, recording) };
            let is_over = tokio::select! {
                ((), ()) = served => true,
                () = run::stopped(&live, &hub.tasks) => false,
            };
            if is_over {
                live.forget();
            } else {
                Recorder::stop(recorder, &live);
                run::stop(&live);
            }
            hub.sessions().live.remove(&number);
        });
    }

    /// The session that a new client of the target joins. An exec has only one; a container has one for each run.
    fn present(&self, target: &Target) -> Option<(u64, Arc<Live>)> {
        let sessions = self.sessions();
        let mut newest = sessions.live.iter().rev();
        let (number, live) = newest.find(|(_, live)| live.target() == target)?;
        let joinable = match target {
            Target::Container(_) => !live.read(|session| session.is_over()),
            Target::Exec(_) => true,
        };
        joinable.then(|| (*number, Arc::clone(live)))
    }

    fn find(&self, resume: &Resume) -> Option<Arc<Live>> {
        let (number, _) = resume.session.split_once('-')?;
        Some(Arc::clone(self.sessions().live.get(&number.parse().ok()?)?))
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
