//! Opens the session of a target for its first client, and lets further clients join it.
//!
//! Each opening is a task of its own: a client that goes away meanwhile takes nothing with it. An exec that the engine was
//! asked to start cannot be started again, so its stream is kept for the next client, and for the next process of the gate.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot};
use tracing::info;
use zun_common::pty::SessionKind;

use super::live::Live;
use super::run::Awaited;
use super::saved::Saved;
use super::streams::Streams;
use super::{Client, ConnectError, Connected, Hub};
use crate::engine::{Opened, Target};
use crate::rights::Rights;
use crate::session::{ConnectionId, Files, Join, JoinRefused, Left, Session, Token};
use crate::stats::Limit;

/// The most clients that wait for an opening, or whose opening goes on without them.
const MOST: usize = 512;

/// Held while a target's session is being opened.
#[derive(Default)]
pub(super) struct Opening {
    gate: Arc<AsyncMutex<()>>,
    /// How many tasks hold the gate or wait for it.
    tasks: usize,
}

/// A client's share in an opening.
struct Turn {
    hub: Arc<Hub>,
    target: Target,
    gate: Arc<AsyncMutex<()>>,
    /// Where it is known whether the client's grant was revoked meanwhile.
    rights: Arc<Rights>,
}

/// A connection on its way to its client, which may be gone.
struct Handed(Option<Connected>);

/// Connects a client to the present session of the target, or to a new one.
pub(super) async fn connect(
    hub: &Arc<Hub>,
    target: &Target,
    client: Client,
    rights: &Arc<Rights>,
) -> Result<Connected, ConnectError> {
    let turn = Turn::take(hub, target, rights).map_err(|limit| refused(hub, limit))?;
    let (sender, mut connected) = oneshot::channel();
    hub.tasks.spawn(turn.connect(client, sender));
    match (&mut connected).await {
        Ok(Ok(handed)) => handed.receive().ok_or(ConnectError::Stopping),
        Ok(Err(error)) => Err(error),
        Err(_dropped) => Err(ConnectError::Stopping),
    }
}

impl Turn {
    fn take(hub: &Arc<Hub>, target: &Target, rights: &Arc<Rights>) -> Result<Self, Limit> {
        let mut sessions = hub.sessions();
        let waiting: usize = sessions.opening.values().map(|opening| opening.tasks).sum();
        if waiting >= MOST {
            return Err(Limit::Openings);
        }
        // One more than will get in: the client of the task that holds the gate may be gone, and be back already.
        let of_target = sessions.opening.get(target).map_or(0, |opening| opening.tasks);
        if of_target > hub.limits.attachments {
            return Err(Limit::Attachments);
        }
        let opening = sessions.opening.entry(target.clone()).or_default();
        opening.tasks += 1;
        let gate = Arc::clone(&opening.gate);
        drop(sessions);
        let (hub, rights) = (Arc::clone(hub), Arc::clone(rights));
        Ok(Self { hub, target: target.clone(), gate, rights })
    }

    async fn connect(
        self,
        client: Client,
        mut sender: oneshot::Sender<Result<Handed, ConnectError>>,
    ) {
        let Some(_gate) = self.wait(&mut sender).await else { return };
        let grant = client.grant.clone();
        let connected = self.join_or_open(client).await;
        if self.is_revoked(&grant) {
            self.hub.revoke(&grant);
        }
        // If the client is gone, its attachment waits for it as after a lost link.
        drop(sender.send(connected.map(|connected| Handed(Some(connected)))));
    }

    /// Waits for its turn, unless the client goes away.
    async fn wait(
        &self,
        sender: &mut oneshot::Sender<Result<Handed, ConnectError>>,
    ) -> Option<OwnedMutexGuard<()>> {
        tokio::select! {
            () = sender.closed() => None,
            gate = Arc::clone(&self.gate).lock_owned() => Some(gate),
        }
    }

    fn is_revoked(&self, grant: &str) -> bool {
        self.rights.is_revoked(grant, Instant::now())
    }

    async fn join_or_open(&self, client: Client) -> Result<Connected, ConnectError> {
        if let Some((number, live)) = self.hub.present(&self.target) {
            let join = Joining::of(number, client.clone())?;
            match live.change(|session, now| join.join(session, &self.target, now)) {
                Err(JoinRefused::Closed) => {}
                Err(JoinRefused::Full) => return Err(refused(&self.hub, Limit::Attachments)),
                joined => return Ok(Connected { id: joined?, live }),
            }
        }
        self.open(client).await
    }

    async fn open(&self, client: Client) -> Result<Connected, ConnectError> {
        let Self { hub, target, .. } = self;
        let _place = Place::take(hub).ok_or_else(|| refused(hub, Limit::Sessions))?;
        let inspected = hub.engine.inspect(target).await?;
        if self.is_revoked(&client.grant) {
            return Err(ConnectError::Revoked);
        }
        let size = client.hello.size.filter(|_| client.may_write);
        let number = hub.next_number();
        let join = Joining::of(number, client)?;
        let files =
            Files::create(inspected.process, &hub.limits.spill).map_err(ConnectError::Files)?;
        let opened = hub.engine.open(target, &inspected, size).await?;
        // From here on, nothing is waited for until the stream is in the store.
        let Opened { stream, early, output_ended, exit } = opened;
        let mut session = Session::new(inspected.process, hub.limits.clone(), files);
        let mut run = inspected.run();
        if inspected.process.kind == SessionKind::Exec {
            session.started();
            run = run.starting();
        }
        // The client has a place in what is kept, so that the session waits for it also in another process.
        let id = join.join(&mut session, target, Instant::now())?;
        let [_, _, spool] = session.files();
        let streams = Streams::begin(stream, &early, (spool, hub.limits.memory.clone()))
            .map_err(ConnectError::Files)?;
        let saved = Saved::begin((&hub.store, number), (target, run), &session, &streams)
            .map_err(ConnectError::Files)?;
        let live = Arc::new(Live::new(session, saved));
        let awaited = Awaited { output_ended, exit, again: false };
        hub.serve(number, Arc::clone(&live), streams, awaited);
        Ok(Connected { live, id })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut sessions = self.hub.sessions();
        if let Some(opening) = sessions.opening.get_mut(&self.target) {
            opening.tasks = opening.tasks.saturating_sub(1);
            if opening.tasks == 0 {
                sessions.opening.remove(&self.target);
            }
        }
    }
}

/// A place among the sessions, for one that is being opened.
struct Place<'a>(&'a Hub);

impl<'a> Place<'a> {
    /// Takes a place, unless all are taken.
    fn take(hub: &'a Hub) -> Option<Self> {
        let mut sessions = hub.sessions();
        let is_free = sessions.live.len() + sessions.begun < hub.most;
        sessions.begun += usize::from(is_free);
        drop(sessions);
        is_free.then(|| Self(hub))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut sessions = self.0.sessions();
        sessions.begun = sessions.begun.saturating_sub(1);
    }
}

impl Handed {
    fn receive(mut self) -> Option<Connected> {
        self.0.take()
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        if let Some(Connected { live, id }) = self.0.take() {
            live.disconnect(id, Left::Lost);
        }
    }
}

fn refused(hub: &Hub, limit: Limit) -> ConnectError {
    hub.stats().refused(limit);
    ConnectError::Limit(limit)
}

/// A client that gets an attachment.
struct Joining(Join);

impl Joining {
    fn of(number: u64, client: Client) -> Result<Self, ConnectError> {
        let token = || Token::random().map_err(|_none| ConnectError::NoRandomness);
        let Client { grant, key, may_write, hello } = client;
        let name = format!("{number}-{}", token()?.into_text());
        Ok(Self(Join { name, token: token()?, key, grant, may_write, hello }))
    }

    fn join(
        self,
        session: &mut Session,
        target: &Target,
        now: Instant,
    ) -> Result<ConnectionId, JoinRefused> {
        let Join { name, grant, .. } = &self.0;
        let (name, grant) = (name.clone(), grant.clone());
        let writes = self.0.may_write && self.0.hello.writes;
        let id = session.join(self.0, now)?;
        info!(session.id = %name, grant.id = %grant, %target, writes, "session begins");
        Ok(id)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::time::Duration;

    use tokio::runtime::{Builder, Runtime};
    use tokio::time::timeout;
    use zun_common::pty::{ClientHello, EndingReason, Frame, Replay};
    use zun_common::shutdown::Tasks;

    use super::*;
    use crate::engine::Exit;
    use crate::engine::fake::{FakeEngine, OpeningStep};
    use crate::holder::Holder;
    use crate::hub::ToDo;
    use crate::kept::DescriptorStore;
    use crate::ring::Memory;
    use crate::session::{KeyHash, Limits, Process, SpillLimits};
    use crate::stats::Stats;

    const PATIENCE: Duration = Duration::from_secs(20);
    const STEPS: [OpeningStep; 3] = [OpeningStep::Inspect, OpeningStep::Open, OpeningStep::Start];

    fn target() -> Target {
        Target::Exec("ab".repeat(32).parse().expect("an id"))
    }

    fn client() -> Client {
        let hello = ClientHello {
            writes: true,
            replay: Replay::All,
            window: 64 << 10,
            ..ClientHello::default()
        };
        Client { grant: "g1".to_owned(), key: KeyHash::of(b"key"), may_write: true, hello }
    }

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    /// A process of the gate, which is killed again and again, and an exec that is being opened.
    struct World {
        directory: tempfile::TempDir,
        holder: Holder,
        /// Of the holder.
        _runtime: Runtime,
        fake: FakeEngine,
        gate: Option<(Runtime, Arc<Hub>)>,
    }

    impl World {
        fn new(held: OpeningStep) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let own = runtime();
            let holder = {
                let _entered = own.enter();
                Holder::at(directory.path().join("notify")).expect("a holder")
            };
            let fake = FakeEngine::default();
            let kind = SessionKind::Exec;
            fake.add(target(), Process { kind, tty: false, stdin: true, running: false });
            fake.hold(&target(), Some(held));
            let mut world = Self { directory, holder, _runtime: own, fake, gate: None };
            world.start();
            world
        }

        fn start(&mut self) {
            drop(self.gate.take());
            self.holder.handle_rest().expect("handled");
            let mut inherited = self.holder.inherited().expect("descriptors");
            let path = self.directory.path().join("notify");
            let store = Arc::new(DescriptorStore::at(&path).expect("a store"));
            let memory = Memory::of(64 << 20);
            let spill = SpillLimits { directory: None, stream: 0, space: Memory::of(0) };
            let resume = Duration::from_mins(15);
            let stats = Stats::default();
            let limits = Limits { ring: 256 << 10, memory, spill, resume, attachments: 1, stats };
            let hub = Hub::new(Arc::new(self.fake.clone()), (limits, 8), Tasks::new(), store);
            let runtime = runtime();
            {
                let _entered = runtime.enter();
                hub.restore(&mut inherited);
            }
            self.gate = Some((runtime, hub));
        }

        fn run<T>(&self, work: impl AsyncFnOnce(&Arc<Hub>) -> T) -> T {
            let (runtime, hub) = self.gate.as_ref().expect("it runs");
            runtime.block_on(async { timeout(PATIENCE, work(hub)).await.expect("in time") })
        }

        /// A client begins to connect, and goes away. Until the exec is started, it does not know of its session.
        fn leave(&self) {
            let (target, rights) = (target(), Arc::default());
            let connected = self.run(async |hub| {
                let connecting = hub.connect(&target, client(), &rights);
                timeout(Duration::from_millis(20), connecting).await
            });
            if let Ok(Ok(Connected { live, id })) = connected {
                live.disconnect(id, Left::Lost);
            }
        }

        fn release(&self, targets: &[Target]) {
            for target in targets {
                self.fake.hold(target, None);
            }
        }

        /// The next client gets all that the exec prints.
        fn check(&self) {
            self.fake.hold(&target(), None);
            self.run(async |hub| {
                opened(hub).await;
                let connected =
                    hub.connect(&target(), client(), &Arc::default()).await.expect("it is held");
                let stream = self.fake.take_stream(&target()).expect("a stream");
                let mut stream = stream.into_std().expect("a stream");
                stream.write_all(b"\x01\0\0\0\0\0\0\x05hello").expect("written");
                until(&connected, |frame| *frame == Frame::Stdout("hello".into())).await;
                assert_eq!(hub.attachments().len(), 1);
            });
        }
    }

    async fn opened(hub: &Hub) {
        while !hub.sessions().opening.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    async fn until(connected: &Connected, wanted: impl Fn(&Frame) -> bool) {
        loop {
            let ToDo::Send(messages) = connected.live.to_do(connected.id).await else {
                panic!("closed");
            };
            let mut frames =
                messages.iter().map(|one| Frame::decode(one).expect("valid").expect("known"));
            if frames.any(|frame| wanted(&frame)) {
                return;
            }
        }
    }

    fn is_failed_start(frame: &Frame) -> bool {
        let Frame::Status(ending) = frame else { return false };
        assert_eq!(ending.zun.reason, EndingReason::NotStarted);
        ending.zun.exit_code == Some(127)
    }

    #[test]
    fn an_exec_is_held_for_a_client_that_goes_away_while_it_is_opened() {
        for step in STEPS {
            let world = World::new(step);
            world.leave();
            world.check();
        }
    }

    #[test]
    fn an_exec_is_held_if_the_gate_is_killed_while_it_is_opened() {
        for step in STEPS {
            let mut world = World::new(step);
            world.leave();
            world.start();
            world.leave();
            world.start();
            world.check();
        }
    }

    #[test]
    fn a_client_that_goes_away_before_its_turn_leaves_nothing() {
        let world = World::new(OpeningStep::Inspect);
        for _ in 0..MOST + 8 {
            world.run(async |hub| {
                let (target, rights) = (target(), Arc::default());
                let connecting = hub.connect(&target, client(), &rights);
                drop(timeout(Duration::from_micros(1), connecting).await);
                tokio::task::yield_now().await;
            });
        }
        world.check();
    }

    #[test]
    fn a_grant_that_is_revoked_while_its_exec_is_opened_starts_nothing() {
        let world = World::new(OpeningStep::Inspect);
        world.run(async |hub| {
            let (target, rights) = (target(), Arc::<Rights>::default());
            let connecting = hub.connect(&target, client(), &rights);
            let revoking = async {
                rights.revoke("g1", Instant::now()).expect("there is room");
                world.fake.hold(&target, None);
            };
            let (connected, ()) = tokio::join!(connecting, revoking);
            assert!(matches!(connected, Err(ConnectError::Revoked)), "{connected:?}");
        });
        assert!(world.fake.take_stream(&target()).is_none(), "it was started");
    }

    #[test]
    fn sessions_that_are_being_opened_count_and_one_target_leaves_room_for_others() {
        let world = World::new(OpeningStep::Inspect);
        let other = |number: usize| Target::Exec(format!("{number:064x}").parse().expect("an id"));
        let targets: Vec<_> = (1..=8).map(other).chain([target(), target(), target()]).collect();
        for target in &targets {
            let kind = SessionKind::Exec;
            let process = Process { kind, tty: false, stdin: true, running: false };
            world.fake.add(target.clone(), process);
            world.fake.hold(target, Some(OpeningStep::Inspect));
        }
        let connected = world.run(async |hub| {
            let rights = Arc::default();
            let all = targets.iter().map(|target| hub.connect(target, client(), &rights));
            let release = async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                world.release(&targets);
            };
            tokio::join!(futures_util::future::join_all(all), release).0
        });
        let (first, last) = connected.split_at(8);
        assert!(first.iter().all(Result::is_ok));
        let limits: Vec<_> = last
            .iter()
            .map(|refused| match refused {
                Err(ConnectError::Limit(limit)) => Some(*limit),
                Ok(_) | Err(_) => None,
            })
            .collect();
        let [sessions, attachments] = [Limit::Sessions, Limit::Attachments].map(Some);
        assert_eq!(limits, [sessions, sessions, attachments]);
    }

    #[test]
    fn a_start_that_failed_while_the_gate_was_away_is_told() {
        let mut world = World::new(OpeningStep::Start);
        world.leave();
        world.start();
        let exit = Exit { failed_start: Some("no such file".to_owned()), ..Exit::with_code(127) };
        world.fake.fail_start(&target(), exit);
        world.fake.hold(&target(), None);
        world.run(async |hub| {
            let connected =
                hub.connect(&target(), client(), &Arc::default()).await.expect("it is held");
            until(&connected, is_failed_start).await;
        });
    }
}
