//! All sessions of the gate: opens them, and finds those that clients come back to.

mod access;
mod live;
mod pace;
mod pumps;
mod reattach;
mod run;
mod saved;
mod streams;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, Notify};
use tracing::{info, warn};
use zun_common::chain;
use zun_common::pty::{ClientHello, Resume, SessionKind};
use zun_common::shutdown::Tasks;

pub use live::{Live, ToDo};

use crate::engine::{Engine, EngineError, Opened, Target, exit_again};
use crate::kept::{DescriptorStore, Inherited, session_name};
use crate::session::{ConnectionId, Files, Join, JoinRefused, KeyHash, Limits, Session, Token};
use pace::Pace;
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
    /// What it asks for.
    pub hello: ClientHello,
}

/// Why a client cannot be connected.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The session refuses it.
    #[error("refused")]
    Refused(#[from] JoinRefused),
    /// The gate has too many sessions.
    #[error("the gate has as many sessions as `limits.sessions` allows")]
    TooManySessions,
    /// The engine cannot open the stream.
    #[error("cannot open the stream")]
    Engine(#[from] EngineError),
    /// There are no random numbers for a token.
    #[error("cannot create a token")]
    NoRandomness,
    /// The files of the session cannot be created.
    #[error("cannot create the files of the session")]
    Files(#[source] io::Error),
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

/// A client's connection to its session.
#[derive(Debug)]
pub struct Connected {
    /// The session.
    pub live: Arc<Live>,
    /// The connection.
    pub id: ConnectionId,
}

/// The sessions.
pub struct Hub {
    engine: Arc<dyn Engine>,
    limits: Limits,
    most: usize,
    tasks: Tasks,
    store: Arc<DescriptorStore>,
    /// Of the steps in which screens follow the output.
    pace: Pace,
    sessions: Mutex<Sessions>,
}

#[derive(Default)]
struct Sessions {
    last: u64,
    live: BTreeMap<u64, Arc<Live>>,
    /// Held while a target's session is opened, so that there is only one.
    opening: HashMap<Target, Arc<AsyncMutex<()>>>,
}

impl Hub {
    /// Creates a hub with at most this many sessions, which are kept in `store`. Its tasks belong to `tasks`.
    pub fn new(
        engine: Arc<dyn Engine>,
        (limits, most): (Limits, usize),
        tasks: Tasks,
        store: Arc<DescriptorStore>,
    ) -> Arc<Self> {
        let (pace, sessions) = (Pace::default(), Mutex::default());
        Arc::new(Self { engine, limits, most, tasks, store, pace, sessions })
    }

    /// Continues the sessions of a former process. Returns the clients that were connected to it.
    pub fn restore(self: &Arc<Self>, inherited: &mut Inherited) -> Vec<FormerClient> {
        let mut former = Vec::new();
        while let Some((number, descriptors)) = inherited.session() {
            let limits = self.limits.clone();
            match Saved::restore((&self.store, number), descriptors, limits) {
                Ok(Restored { session, saved, streams, clients }) => {
                    let (target, run) = (saved.target().clone(), saved.run().clone());
                    let live = Arc::new(Live::new(session, saved));
                    former.extend(clients.into_iter().map(|(grant, writes)| FormerClient {
                        target: target.clone(),
                        grant,
                        writes,
                    }));
                    info!(%target, "continued a session after the restart of the gate");
                    let output_ended = Arc::<Notify>::default();
                    let exit = exit_again(&self.engine, (target, run), &output_ended);
                    self.serve(number, live, streams, Awaited { output_ended, exit, again: true });
                }
                Err(error) => {
                    warn!(error = %chain(&error), "cannot continue a session after the restart of the gate");
                    self.store.forget(&session_name(number));
                }
            }
        }
        former
    }

    /// The engine.
    pub fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.sessions().live.len()
    }

    /// Whether a client can resume this session of the target.
    pub fn knows(&self, target: &Target, key: KeyHash, resume: &Resume) -> bool {
        self.find(resume)
            .filter(|live| live.target() == target)
            .is_some_and(|live| live.look(|session| session.knows(key, resume)))
    }

    /// Connects a client to a target: to the session that it resumes, to the present one, or to a new one.
    pub async fn connect(
        self: &Arc<Self>,
        target: &Target,
        client: Client,
    ) -> Result<Connected, ConnectError> {
        if let Some(resume) = &client.hello.resume {
            self.find(resume).filter(|live| live.target() == target).ok_or(JoinRefused::Unknown)?;
            return self.resume(client.key, &client.hello);
        }
        let gate = self.opening(target);
        let opening = gate.lock().await;
        let connected = self.join_or_open(target, client).await;
        drop(opening);
        drop(gate);
        self.forget_opening(target);
        connected
    }

    async fn join_or_open(
        self: &Arc<Self>,
        target: &Target,
        client: Client,
    ) -> Result<Connected, ConnectError> {
        if let Some((number, live)) = self.present(target) {
            match Self::join(number, &live, client.clone()) {
                Err(ConnectError::Refused(JoinRefused::Closed)) => {}
                joined => return Ok(Connected { id: joined?, live }),
            }
        }
        self.open(target, client).await
    }

    /// Whether sessions go on after a restart.
    pub fn is_kept(&self) -> bool {
        self.store.keeps()
    }

    /// Closes all connections, so that clients come back after the restart.
    pub fn restart(&self) {
        for live in self.sessions().live.values() {
            live.change(|session, _| session.restart());
        }
    }

    fn join(number: u64, live: &Arc<Live>, client: Client) -> Result<ConnectionId, ConnectError> {
        let token = || Token::random().map_err(|_none| ConnectError::NoRandomness);
        let Client { grant, key, may_write, hello } = client;
        let name = format!("{number}-{}", token()?.into_text());
        let (own, writes) = ((name.clone(), grant.clone()), may_write && hello.writes);
        let join = Join { name, token: token()?, key, grant, may_write, hello };
        let id = live.change(|session, now| session.join(join, now))?;
        let (target, (name, grant)) = (live.target(), own);
        info!(session.id = %name, grant.id = %grant, %target, writes, "session begins");
        Ok(id)
    }

    async fn open(
        self: &Arc<Self>,
        target: &Target,
        client: Client,
    ) -> Result<Connected, ConnectError> {
        if self.count() >= self.most {
            return Err(ConnectError::TooManySessions);
        }
        let inspected = self.engine.inspect(target).await?;
        let size = client.hello.size.filter(|_| client.may_write);
        let files =
            Files::create(inspected.process, &self.limits.spill).map_err(ConnectError::Files)?;
        let opened = self.engine.open(target, &inspected, size).await?;
        let Opened { stream, early, pid, output_ended, exit } = opened;
        let (mut session, mut run) =
            (Session::new(inspected.process, self.limits.clone(), files), inspected.run());
        if inspected.process.kind == SessionKind::Exec {
            // Its start has been waited for.
            session.started();
            (run.running, run.pid) = (true, pid);
        }
        let number = {
            let mut sessions = self.sessions();
            sessions.last += 1;
            sessions.last
        };
        let [_, _, spool] = session.files();
        let streams = Streams::begin(stream, &early, spool).map_err(ConnectError::Files)?;
        let saved = Saved::begin((&self.store, number), (target, run), &session, &streams)
            .map_err(ConnectError::Files)?;
        let live = Arc::new(Live::new(session, saved));
        // It joins before the session is served, because a session without clients may end.
        let id = Self::join(number, &live, client).inspect_err(|_| live.forget())?;
        let awaited = Awaited { output_ended, exit, again: false };
        self.serve(number, Arc::clone(&live), streams, awaited);
        Ok(Connected { live, id })
    }

    fn serve(self: &Arc<Self>, number: u64, live: Arc<Live>, streams: Streams, awaited: Awaited) {
        {
            let mut sessions = self.sessions();
            sessions.last = sessions.last.max(number);
            sessions.live.insert(number, Arc::clone(&live));
        }
        let (hub, engine) = (Arc::clone(self), Arc::clone(&self.engine));
        self.tasks.spawn(async move {
            tokio::select! {
                () = run::run(&live, (&*engine, &hub.pace), streams, awaited) => live.forget(),
                () = run::stopped(&live, &hub.tasks) => run::stop(&live),
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
            Target::Container(_) => !live.look(|session| session.is_over()),
            Target::Exec(_) => true,
        };
        joinable.then(|| (*number, Arc::clone(live)))
    }

    fn find(&self, resume: &Resume) -> Option<Arc<Live>> {
        let (number, _) = resume.session.split_once('-')?;
        Some(Arc::clone(self.sessions().live.get(&number.parse().ok()?)?))
    }

    fn opening(&self, target: &Target) -> Arc<AsyncMutex<()>> {
        Arc::clone(self.sessions().opening.entry(target.clone()).or_default())
    }

    fn forget_opening(&self, target: &Target) {
        let mut sessions = self.sessions();
        if sessions.opening.get(target).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            sessions.opening.remove(target);
        }
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
