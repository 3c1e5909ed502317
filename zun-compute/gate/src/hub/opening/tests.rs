//! An opening whose client vanishes or whose gate is killed, at each step.

use std::io::Write as _;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use zun_common::id::ContainerId;
use zun_common::pty::{ClientHello, EndingReason, Frame, Replay};
use zun_common::recording::RecordPolicy;
use zun_common::shutdown::Tasks;

use super::*;
use crate::engine::fake::{FakeEngine, OpeningStep};
use crate::engine::{Exit, Owner};
use crate::holder::Holder;
use crate::hub::ToDo;
use crate::kept::DescriptorStore;
use crate::recording::RecordingSettings;
use crate::ring::Memory;
use crate::session::{KeyHash, Limits, Process, SpillLimits};
use crate::settings::LimitSettings;
use crate::stats::Stats;

const TIMEOUT: Duration = Duration::from_secs(20);
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
    Client { grant: "g1".to_owned(), key: KeyHash::of(b"key"), may_write: true, files: None, hello }
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
        let limits =
            Limits { ring: 256 << 10, memory, spill, resume, attachments: 1, files: 0, stats };
        let hub = Hub::new(
            Arc::new(self.fake.clone()),
            (limits, 8),
            Tasks::new(),
            (store, Arc::default()),
        );
        let runtime = runtime();
        {
            let _entered = runtime.enter();
            hub.restore(&mut inherited);
        }
        self.gate = Some((runtime, hub));
    }

    fn run<T>(&self, work: impl AsyncFnOnce(&Arc<Hub>) -> T) -> T {
        let (runtime, hub) = self.gate.as_ref().expect("it runs");
        runtime.block_on(async { timeout(TIMEOUT, work(hub)).await.expect("in time") })
    }

    /// A client begins to connect, and disconnects. Until the exec is started, it does not know its session.
    fn leave(&self) {
        let (target, rights) = (target(), Arc::default());
        let connected = self.run(async |hub| {
            let connecting = hub.connect(&target, client(), &rights);
            timeout(Duration::from_millis(20), connecting).await
        });
        if let Ok(Ok(Connected { live, id, .. })) = connected {
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
    let mut outgoing = connected.outgoing();
    loop {
        let ToDo::Send(messages) = outgoing.next().await else {
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
            while hub.sessions().reserved < 8 {
                tokio::task::yield_now().await;
            }
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

#[tokio::test]
async fn a_recording_is_removed_if_its_session_cannot_begin() {
    let directory = tempfile::tempdir().expect("a directory");
    let recordings = RecordingSettings::default().open(Some(directory.path()));
    let recordings = Arc::new(recordings.expect("recordings"));
    let (fake, kind) = (FakeEngine::default(), SessionKind::Container);
    let target = Target::Container("ab".repeat(32).parse().expect("an id"));
    fake.add(target.clone(), Process { kind, tty: true, stdin: true, running: true });
    let (project, container) = ("p1".parse().expect("a project"), ContainerId::random());
    let record = RecordPolicy::Required;
    fake.label(&target, Owner { project, container, name: "web".to_owned(), record });
    // Nobody can join, so the session fails after the engine has opened its stream.
    let limits = Limits { attachments: 0, ..LimitSettings::default().of_sessions(None) };
    let store = (Arc::default(), Arc::clone(&recordings));
    let hub = Hub::new(Arc::new(fake), (limits, 8), Tasks::new(), store);
    let refused = hub.connect(&target, client(), &Arc::default()).await;
    assert!(matches!(refused, Err(ConnectError::Refused(JoinRefused::Full))), "{refused:?}");
    assert_eq!(recordings.used(), (0, 0));
}
