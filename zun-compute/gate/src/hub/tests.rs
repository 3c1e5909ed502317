//! The gate is killed, again and again, and each byte still arrives once. The holder stands in for the service manager,
//! and the test plays the process and the client.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use zun_common::id::ContainerId;
use zun_common::pty::{
    Ending, Frame, Replay, STDIN_WINDOW, ServerHello, SessionEvent, SessionKind, Stream,
};
use zun_common::recording::RecordPolicy;

use super::*;
use crate::engine::fake::FakeEngine;
use crate::engine::{Exit, Owner};
use crate::holder::Holder;
use crate::kept::Record;
use crate::recording::RecordingSettings;
use crate::ring::Memory;
use crate::session::{Left, Process, SpillLimits};

const TIMEOUT: Duration = Duration::from_secs(20);

fn target() -> Target {
    Target::Container("ab".repeat(32).parse().expect("an id"))
}

fn limits() -> Limits {
    let memory = Memory::of(64 << 20);
    let space = Memory::of(64 << 20);
    let spill = SpillLimits { directory: Some(std::env::temp_dir()), stream: 8 << 20, space };
    let (resume, stats) = (Duration::from_mins(15), Stats::default());
    Limits { ring: 256 << 10, memory, spill, resume, attachments: 4, files: 0, stats }
}

/// A process of the gate.
struct Gate {
    runtime: Runtime,
    hub: Arc<Hub>,
}

struct World {
    directory: TempDir,
    holder_runtime: Runtime,
    holder: Holder,
    fake: FakeEngine,
    gate: Option<Gate>,
    connected: Option<Connected>,
    hello: Option<ServerHello>,
    /// The process's end of the stream, and what it has read and printed.
    process: UnixStream,
    read: Vec<u8>,
    printed: Vec<u8>,
    /// Whether output is multiplexed, because there is no terminal.
    framed: bool,
    /// What the process has not been able to write yet.
    unwritten: Vec<u8>,
    typed: Vec<u8>,
    sent: usize,
    acknowledged: usize,
    received: Vec<u8>,
    events: Vec<SessionEvent>,
    former: Vec<FormerClient>,
    ending: Option<Ending>,
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn bytes(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|number| u8::try_from(number % 251).expect("small")).collect()
}

impl World {
    fn new(tty: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let holder_runtime = runtime();
        let holder = {
            let _entered = holder_runtime.enter();
            Holder::at(directory.path().join("notify")).expect("a holder")
        };
        let fake = FakeEngine::default();
        let kind = SessionKind::Container;
        fake.add(target(), Process { kind, tty, stdin: true, running: true });
        fake.label(
            &target(),
            Owner {
                project: "p1".parse().expect("a project"),
                container: ContainerId::random(),
                name: "web".to_owned(),
                record: RecordPolicy::Required,
            },
        );
        let (process, _) = UnixStream::pair().expect("a pair");
        let mut world = Self {
            directory,
            holder_runtime,
            holder,
            fake,
            gate: None,
            connected: None,
            hello: None,
            process,
            read: Vec::new(),
            printed: Vec::new(),
            framed: !tty,
            unwritten: Vec::new(),
            typed: Vec::new(),
            sent: 0,
            acknowledged: 0,
            received: Vec::new(),
            events: Vec::new(),
            former: Vec::new(),
            ending: None,
        };
        world.start();
        world.connect();
        world.take_process();
        world
    }

    /// Takes the process's end of the engine's newest stream.
    fn take_process(&mut self) {
        let fake = self.fake.clone();
        let stream = self.run(async |_| {
            loop {
                match fake.take_stream(&target()) {
                    Some(stream) => return stream.into_std().expect("a stream"),
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            }
        });
        stream.set_nonblocking(true).expect("set");
        self.process = stream;
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("notify")
    }

    fn start(&mut self) {
        let runtime = runtime();
        self.holder.handle_rest().expect("handled");
        let mut inherited = self.holder.inherited().expect("descriptors");
        let store = DescriptorStore::at(&self.socket()).expect("a store");
        let (engine, tasks) = (Arc::new(self.fake.clone()), Tasks::new());
        let hub = Hub::new(engine, (limits(), 8), tasks, (Arc::new(store), self.recordings()));
        {
            let _entered = runtime.enter();
            self.former = hub.restore(&mut inherited);
        }
        self.gate = Some(Gate { runtime, hub });
    }

    fn recordings(&self) -> Arc<Recordings> {
        let settings = RecordingSettings::default();
        Arc::new(settings.open(Some(self.directory.path())).expect("recordings"))
    }

    /// What is recorded, once it is as long as what is expected.
    fn recorded(&self, expected: &str) -> String {
        let (mut recorded, until) = (String::new(), Instant::now() + TIMEOUT);
        while Instant::now() < until {
            let files = std::fs::read_dir(self.directory.path().join("recordings"));
            let paths = files.expect("files").map(|entry| entry.expect("an entry").path());
            let mut casts =
                paths.filter(|path| path.extension().is_some_and(|kind| kind == "cast"));
            let (Some(path), None) = (casts.next(), casts.next()) else { panic!("one recording") };
            let mut bytes = std::fs::read(path).expect("a file");
            // The last line may be incomplete, even its last character.
            bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
            let text = String::from_utf8(bytes).expect("text");
            let events = text.lines().skip(1);
            let events = events.map(|line| serde_json::from_str(line).expect("an event"));
            let output = events.filter(|event: &Value| event[1] == "o");
            recorded = output.filter_map(|event| event[2].as_str().map(str::to_owned)).collect();
            if recorded.len() >= expected.len() {
                break;
            }
            // The recorder writes in a thread of its own.
            self.turn(20);
            std::thread::yield_now();
        }
        recorded
    }

    fn run<T>(&self, work: impl AsyncFnOnce(&Arc<Hub>) -> T) -> T {
        let gate = self.gate.as_ref().expect("it runs");
        gate.runtime.block_on(async { timeout(TIMEOUT, work(&gate.hub)).await.expect("in time") })
    }

    /// Lets the gate's tasks take a number of steps.
    fn turn(&self, steps: usize) {
        self.run(async |_| {
            for _ in 0..steps {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Ends the process of the gate between any two steps, as a kill does.
    fn kill(&mut self) {
        self.take_messages();
        self.connected = None;
        let Gate { runtime, hub } = self.gate.take().expect("it runs");
        drop(runtime);
        drop(hub);
        self.start();
        self.connect();
    }

    fn connect(&mut self) {
        let had = self.received.len() as u64;
        let resume = self.hello.as_ref().map(|hello| Resume {
            session: hello.session.clone(),
            token: hello.token.clone(),
            stdout: self.received.len() as u64,
            stderr: 0,
        });
        let hello = ClientHello {
            writes: true,
            replay: Replay::All,
            window: 64 << 10,
            resume,
            ..ClientHello::default()
        };
        let (grant, key) = ("g1".to_owned(), KeyHash::of(b"key"));
        let client = Client { grant, key, may_write: true, files: None, hello };
        let connected = self.run(async |hub| hub.connect(&target(), client, &Arc::default()).await);
        self.connected = Some(connected.expect("connected"));
        self.take_messages();
        let hello = self.hello.as_ref().expect("a hello");
        let next = usize::try_from(hello.stdin_next).expect("small");
        assert!(next >= self.acknowledged && next <= self.sent, "{next}");
        assert_eq!(hello.stdout_next, had);
        (self.sent, self.acknowledged) = (next, next);
    }

    /// Receives what there is, and acknowledges output.
    fn take_messages(&mut self) {
        let Some(connected) = &self.connected else { return };
        let mut messages = Vec::new();
        self.run(async |_| {
            let mut outgoing = connected.outgoing();
            while let Ok(ToDo::Send(more)) =
                timeout(Duration::from_millis(1), outgoing.next()).await
            {
                messages.extend(more);
            }
        });
        for message in messages {
            match Frame::decode(&message).expect("valid").expect("known") {
                Frame::Hello(hello) => self.hello = Some(*hello),
                Frame::Stdout(bytes) => self.received.extend(&bytes),
                Frame::Ack { stream: Stream::Stdin, offset } => {
                    let offset = usize::try_from(offset).expect("small");
                    assert!(offset <= self.sent);
                    self.acknowledged = self.acknowledged.max(offset);
                }
                Frame::Status(ending) => self.ending = Some(*ending),
                Frame::Event(event) => self.events.push(event),
                other @ (Frame::Ack { .. }
                | Frame::Stderr(_)
                | Frame::Ping(_)
                | Frame::Pong(_)
                | Frame::Gap { .. }
                | Frame::Snapshot { .. }
                | Frame::Stdin(_)
                | Frame::StdinEnd
                | Frame::Resize(_)
                | Frame::Signal { .. }) => panic!("{other:?}"),
            }
        }
        let offset = self.received.len() as u64;
        let frame = Frame::Ack { stream: Stream::Stdout, offset };
        connected.receive(frame);
    }

    /// Sends what the window allows.
    fn send(&mut self) {
        let window = usize::try_from(STDIN_WINDOW).expect("small");
        let until = self.typed.len().min(self.acknowledged + window);
        if until > self.sent {
            let frame = Frame::Stdin(Bytes::copy_from_slice(&self.typed[self.sent..until]));
            self.connected.as_ref().expect("connected").receive(frame);
            self.sent = until;
        }
    }

    /// The process reads its stdin.
    fn process_reads(&mut self) {
        let mut buffer = vec![0; 64 << 10];
        match self.process.read(&mut buffer) {
            Ok(length) => self.read.extend(&buffer[..length]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    /// The process prints, unless what it printed before still waits.
    fn process_prints(&mut self, length: usize) {
        if self.unwritten.is_empty() {
            let more = bytes(self.printed.len(), length);
            if self.framed {
                self.unwritten.extend([1, 0, 0, 0]);
                self.unwritten.extend(u32::try_from(length).expect("small").to_be_bytes());
            }
            self.unwritten.extend(&more);
            self.printed.extend(more);
        }
        self.process_writes();
    }

    fn process_writes(&mut self) {
        match self.process.write(&self.unwritten) {
            Ok(written) => drop(self.unwritten.drain(..written)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Type(length) => {
                let more = bytes(self.typed.len(), length);
                self.typed.extend(more);
                self.send();
            }
            Step::Print(length) => self.process_prints(length),
            Step::Read => self.process_reads(),
            Step::Turn(steps) => self.turn(steps),
            Step::Receive => {
                self.take_messages();
                self.send();
            }
            Step::Kill => self.kill(),
        }
    }

    fn settle(&mut self) {
        // The recording has a thread of its own, which the machine may keep waiting.
        let until = Instant::now() + TIMEOUT;
        while Instant::now() < until {
            if self.read.len() == self.typed.len() && self.received.len() == self.printed.len() {
                return;
            }
            self.turn(20);
            self.process_reads();
            self.process_writes();
            self.step(&Step::Receive);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Type(usize),
    Print(usize),
    Read,
    Turn(usize),
    Receive,
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1_usize..60_000).prop_map(Step::Type),
        (1_usize..60_000).prop_map(Step::Print),
        Just(Step::Read),
        (0_usize..8).prop_map(Step::Turn),
        Just(Step::Receive),
        Just(Step::Kill),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn no_byte_is_lost_or_repeated_when_the_gate_is_killed(tty in any::<bool>(), steps in steps()) {
        let mut world = World::new(tty);
        for step in &steps {
            world.step(step);
        }
        world.settle();
        prop_assert!(world.read == world.typed, "{} of {}", world.read.len(), world.typed.len());
        prop_assert!(
            world.received == world.printed, "{} of {}", world.received.len(), world.printed.len()
        );
        // The last character may not be complete.
        let expected = String::from_utf8_lossy(&world.printed).into_owned();
        let expected = expected.trim_end_matches('\u{FFFD}');
        let expected = if tty { expected.to_owned() } else { expected.replace('\n', "\r\n") };
        let recorded = world.recorded(&expected);
        let recorded = recorded.trim_end_matches('\u{FFFD}');
        prop_assert!(recorded == expected, "{} of {}", recorded.len(), expected.len());
    }
}

#[test]
fn an_exit_while_the_gate_is_away_is_told_and_the_last_output_is_not_lost() {
    let mut world = World::new(true);
    world.process_prints(20_000);
    world.connected = None;
    drop(world.gate.take());
    world.process_prints(30_000);
    world.fake.exit(&target(), Exit::with_code(42));
    let (closed, _) = UnixStream::pair().expect("a pair");
    world.process = closed;
    world.start();
    world.connect();
    for _ in 0..2000 {
        if world.ending.is_some() {
            break;
        }
        world.turn(5);
        world.take_messages();
    }
    assert_eq!(world.ending.expect("an ending").zun.exit_code, Some(42));
    assert!(world.received == world.printed, "{}", world.received.len());
}

#[test]
fn a_session_continues_with_a_notice_when_the_engine_has_restarted_and_so_does_it_in_another_gate()
{
    let mut world = World::new(true);
    world.process_prints(1000);
    world.settle();
    world.fake.restart(&target());
    let (closed, _) = UnixStream::pair().expect("a pair");
    world.process = closed;
    world.take_process();
    world.kill();
    world.process_prints(2000);
    world.step(&Step::Type(500));
    world.settle();
    assert_eq!((world.received.len(), world.read.len()), (3000, 500));
    let reattached = world.events.iter().filter(|event| **event == SessionEvent::Reattached);
    assert_eq!(reattached.count(), 1, "{:?}", world.events);
}

#[test]
fn output_that_is_in_the_ring_uses_no_other_memory_after_a_restart() {
    let mut world = World::new(true);
    for _ in 0..8 {
        world.process_prints(60_000);
        world.settle();
    }
    assert_eq!(world.received.len(), 480_000);
    let used = |world: &World| world.run(async |hub| hub.gauges().memory);
    let before = used(&world);
    world.kill();
    let after = used(&world);
    assert!(after <= before, "{after} instead of {before}");
}

#[test]
fn the_clients_of_a_killed_gate_are_known_and_those_that_left_before_are_not() {
    let mut world = World::new(true);
    world.kill();
    let (target, grant) = (target(), "g1".to_owned());
    assert_eq!(world.former, [FormerClient { target, grant, writes: true }]);
    let Connected { live, id, .. } = world.connected.take().expect("connected");
    live.disconnect(id, Left::Lost);
    world.kill();
    assert_eq!(world.former, []);
}

#[test]
fn a_session_that_is_over_leaves_the_store() {
    let mut world = World::new(true);
    world.holder.handle_rest().expect("handled");
    assert!(world.holder.inherited().expect("descriptors").session().is_some());
    world.fake.exit(&target(), Exit::with_code(0));
    let (closed, _) = UnixStream::pair().expect("a pair");
    world.process = closed;
    while world.ending.is_none() {
        world.turn(5);
        world.take_messages();
    }
    let Connected { live, id, .. } = world.connected.take().expect("connected");
    live.disconnect(id, Left::Detached);
    while world.run(async |hub| hub.count()) > 0 {
        world.turn(5);
    }
    world.holder.handle_rest().expect("handled");
    assert!(world.holder.inherited().expect("descriptors").session().is_none());
    drop(world.holder_runtime);
}

/// The record of the session, as another process finds it.
fn record(world: &mut World) -> Vec<u8> {
    world.holder.handle_rest().expect("handled");
    let mut inherited = world.holder.inherited().expect("descriptors");
    let (_, descriptors) = inherited.session().expect("a session");
    let is_record = |one: &std::os::fd::OwnedFd| Record::is_record(std::os::fd::AsFd::as_fd(one));
    let file = descriptors.into_iter().find(is_record).expect("a record");
    Record::restored(file.into()).expect("readable").state().to_vec()
}

#[test]
fn what_is_typed_and_acknowledged_changes_the_progress_only() {
    let mut world = World::new(true);
    world.process_prints(1000);
    world.step(&Step::Type(1));
    world.settle();
    world.step(&Step::Receive);
    let before = record(&mut world);
    for _ in 0..5 {
        world.process_prints(10);
        world.step(&Step::Type(1));
        world.settle();
    }
    assert_eq!(world.read.len(), 6);
    assert!(record(&mut world) == before, "all of the record was written");
}
