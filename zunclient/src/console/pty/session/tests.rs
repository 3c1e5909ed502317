//! A model of the gate, a link that breaks at any byte, and the property: nothing is lost, and nothing is repeated.

use bytes::{BufMut as _, BytesMut};
use proptest::prelude::*;
use zun_common::pty::{EndingReason, Replay, STDIN_WINDOW, SessionKind};

use super::*;

/// What the model of a gate has accepted, and what it prints.
#[derive(Debug, Default)]
struct Gate {
    stdin: Vec<u8>,
    has_ended: bool,
    signals: Vec<String>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// How much of each output was sent on this link.
    sent: (usize, usize),
    /// What was accepted and not yet acknowledged on this link.
    acks: VecDeque<Frame>,
}

impl Gate {
    fn hello(&mut self, client: &ClientHello) -> ServerHello {
        let offset = |of: fn(&Resume) -> u64| client.resume.as_ref().map_or(0, of);
        let (stdout, stderr) = (offset(|resume| resume.stdout), offset(|resume| resume.stderr));
        self.sent = (usize::try_from(stdout).unwrap(), usize::try_from(stderr).unwrap());
        self.acks.clear();
        ServerHello {
            session: "s".to_owned(),
            token: "t".to_owned(),
            kind: SessionKind::Container,
            tty: false,
            stdin: true,
            writes: true,
            running: true,
            has_screen: false,
            resumed: client.resume.is_some(),
            stdin_next: self.stdin.len() as u64,
            stdin_ended: self.has_ended,
            signal_next: self.signals.len() as u64 + 1,
            stdout_next: stdout,
            stderr_next: stderr,
            signals: true,
            resume_seconds: 900,
            files: None,
            acts_on_disconnect: false,
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "no other message is expected")]
    fn receive(&mut self, frame: Frame) {
        match frame {
            Frame::Stdin(data) => {
                assert!(!self.has_ended, "stdin after its end");
                self.stdin.extend_from_slice(&data);
                let offset = self.stdin.len() as u64;
                self.acks.push_back(Frame::Ack { stream: Stream::Stdin, offset });
            }
            Frame::StdinEnd => {
                self.has_ended = true;
                let offset = self.stdin.len() as u64;
                self.acks.push_back(Frame::Ack { stream: Stream::StdinEnd, offset });
            }
            Frame::Signal { number, name } => {
                if number == self.signals.len() as u64 + 1 {
                    self.signals.push(name);
                }
                self.acks.push_back(Frame::Ack { stream: Stream::Signals, offset: number });
            }
            Frame::Ping(number) => self.acks.push_back(Frame::Pong(number)),
            Frame::Ack { .. } | Frame::Resize(_) => {}
            other => panic!("the gate does not expect {other:?}"),
        }
    }

    fn next_frame(&mut self, size: usize) -> Option<Frame> {
        if let Some(ack) = self.acks.pop_front() {
            return Some(ack);
        }
        let piece = |all: &[u8], sent: &mut usize| {
            let piece: Vec<u8> = all[*sent..].iter().copied().take(size.max(1)).collect();
            *sent += piece.len();
            (!piece.is_empty()).then(|| Bytes::from(piece))
        };
        piece(&self.stdout, &mut self.sent.0)
            .map(Frame::Stdout)
            .or_else(|| piece(&self.stderr, &mut self.sent.1).map(Frame::Stderr))
    }
}

/// One direction of a link: the bytes on their way.
#[derive(Debug, Default)]
struct Wire(BytesMut);

impl Wire {
    fn put(&mut self, frame: &Frame) {
        let message = frame.encode();
        self.0.put_u32(u32::try_from(message.len()).unwrap());
        self.0.put_slice(&message);
    }

    /// Returns the messages that are complete within this many bytes. The rest of the bytes stays on its way.
    fn carry(&mut self, bytes: usize) -> Vec<Frame> {
        let mut arrived = self.0.split_to(bytes.min(self.0.len()));
        let mut frames = Vec::new();
        while let Some((length, _)) = arrived.split_first_chunk() {
            let whole = 4 + usize::try_from(u32::from_be_bytes(*length)).unwrap();
            if whole > arrived.len() {
                break;
            }
            let message = arrived.split_to(whole).freeze().slice(4..);
            frames.push(Frame::decode(&message).unwrap().unwrap());
        }
        // What has arrived of an incomplete message is of no use yet.
        arrived.unsplit(std::mem::take(&mut self.0));
        self.0 = arrived;
        frames
    }
}

/// The client, the gate and the link between them.
struct World {
    client: Session,
    gate: Gate,
    up: Wire,
    down: Wire,
    /// What the user has typed and the client has not taken yet.
    typing: Bytes,
    typed: Vec<u8>,
    signalled: Vec<String>,
    shown: (Vec<u8>, Vec<u8>),
    now: Instant,
}

#[derive(Debug, Clone)]
enum Step {
    Type(Vec<u8>),
    Signal,
    Print(Vec<u8>),
    Complain(Vec<u8>),
    ClientSends(usize),
    GateSends(usize),
    Up(usize),
    Down(usize),
    Show(usize),
    /// The link breaks after this many more bytes in each direction, and this many attempts to resume fail after the
    /// gate has answered them.
    Cut(usize, usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..40);
    let step = prop_oneof![
        4 => bytes().prop_map(Step::Type),
        1 => Just(Step::Signal),
        4 => bytes().prop_map(Step::Print),
        2 => bytes().prop_map(Step::Complain),
        6 => (1..4_usize).prop_map(Step::ClientSends),
        6 => (1..20_usize).prop_map(Step::GateSends),
        6 => (1..80_usize).prop_map(Step::Up),
        6 => (1..80_usize).prop_map(Step::Down),
        4 => (1..4_usize).prop_map(Step::Show),
        4 => (0..60_usize, 0..60_usize, 0..3_usize).prop_map(|(up, down, failed)| Step::Cut(up, down, failed)),
    ];
    prop::collection::vec(step, 1..300)
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        let mut gate = Gate::default();
        let wants = ClientHello { writes: true, replay: Replay::All, ..ClientHello::default() };
        let hello = gate.hello(&wants);
        Self {
            client: Session::new(wants, hello, now).unwrap(),
            gate,
            up: Wire::default(),
            down: Wire::default(),
            typing: Bytes::new(),
            typed: Vec::new(),
            signalled: Vec::new(),
            shown: (Vec::new(), Vec::new()),
            now,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Type(bytes) => {
                self.typed.extend_from_slice(&bytes);
                self.typing = [self.typing.as_ref(), &bytes].concat().into();
            }
            Step::Signal => {
                let name = format!("SIG{}", self.signalled.len());
                assert!(self.client.signal(&name));
                self.signalled.push(name);
            }
            Step::Print(bytes) => self.gate.stdout.extend(bytes),
            Step::Complain(bytes) => self.gate.stderr.extend(bytes),
            Step::ClientSends(count) => {
                self.client.write(&mut self.typing);
                let frames = (0..count).map_while(|_| self.client.next_frame(self.now));
                frames.for_each(|frame| self.up.put(&frame));
            }
            Step::GateSends(size) => {
                if let Some(frame) = self.gate.next_frame(size) {
                    self.down.put(&frame);
                }
            }
            Step::Up(bytes) => {
                for frame in self.up.carry(bytes) {
                    self.gate.receive(frame);
                }
            }
            Step::Down(bytes) => self.carry_down(bytes),
            Step::Show(count) => {
                for _ in 0..count {
                    self.show();
                }
            }
            Step::Cut(up, down, failed) => self.cut((up, down), failed),
        }
    }

    fn carry_down(&mut self, bytes: usize) {
        for frame in self.down.carry(bytes) {
            self.client.receive(frame, self.now).unwrap();
        }
    }

    fn show(&mut self) -> bool {
        match self.client.next_event(self.now) {
            Some(Event::Stdout(data)) => self.shown.0.extend_from_slice(&data),
            Some(Event::Stderr(data)) => self.shown.1.extend_from_slice(&data),
            Some(Event::Reconnecting { .. } | Event::Reconnected) => {}
            Some(other) => panic!("{other:?}"),
            None => return false,
        }
        true
    }

    fn cut(&mut self, (up, down): (usize, usize), failed: usize) {
        self.step(Step::Up(up));
        self.carry_down(down);
        (self.up, self.down) = (Wire::default(), Wire::default());
        self.client.link_lost("h", self.now);
        for _ in 0..failed {
            let hello = self.client.client_hello();
            drop(self.gate.hello(&hello));
        }
        let client = self.client.client_hello();
        let gate = self.gate.hello(&client);
        self.client.connected((&client, gate), self.now).unwrap();
    }

    fn finish(&mut self) {
        for _ in 0..10_000 {
            self.now += std::time::Duration::from_secs(1);
            if self.typing.is_empty() {
                assert_eq!(self.client.end_stdin(), None);
            }
            self.step(Step::ClientSends(100));
            self.step(Step::GateSends(1000));
            self.step(Step::Up(usize::MAX));
            self.step(Step::Down(usize::MAX));
            self.step(Step::Show(100));
            let is_sent = (self.gate.stdout.len(), self.gate.stderr.len()) == self.gate.sent;
            let is_quiet = self.client.has_sent_all() && is_sent && self.gate.acks.is_empty();
            if is_quiet && self.down.0.is_empty() && self.gate.has_ended {
                return;
            }
        }
        panic!("the session does not come to rest");
    }
}

proptest! {
    #[test]
    fn nothing_is_lost_or_repeated_wherever_the_link_breaks(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.finish();
        while world.show() {}
        prop_assert_eq!(&world.gate.stdin, &world.typed);
        prop_assert_eq!(&world.gate.signals, &world.signalled);
        prop_assert!(world.gate.has_ended);
        prop_assert_eq!(&world.shown.0, &world.gate.stdout);
        prop_assert_eq!(&world.shown.1, &world.gate.stderr);
    }
}

#[test]
fn input_waits_once_the_window_is_full_and_continues_after_an_acknowledgement() {
    let mut world = World::new();
    let window = usize::try_from(STDIN_WINDOW).unwrap();
    let mut typed = Bytes::from(vec![b'x'; window + 10]);
    world.client.write(&mut typed);
    assert_eq!(typed.len(), 10);
    while let Some(frame) = world.client.next_frame(world.now) {
        assert!(matches!(&frame, Frame::Stdin(data) if data.len() <= 32 << 10), "{frame:?}");
    }
    let ack = |offset| Frame::Ack { stream: Stream::Stdin, offset };
    world.client.receive(ack(4), world.now).unwrap();
    world.client.write(&mut typed);
    assert_eq!(typed.len(), 6);
    assert!(world.client.receive(ack(u64::MAX), world.now).is_err());
}

#[test]
fn only_the_newest_size_is_sent() {
    let mut world = World::new();
    for rows in 1..200 {
        world.client.resize(TerminalSize { rows, columns: 80 });
    }
    let newest = Size { width: 80, height: 199 };
    assert_eq!(world.client.next_frame(world.now), Some(Frame::Resize(newest)));
    assert_eq!(world.client.next_frame(world.now), None);
    // A resume carries it, so it is not sent again.
    world.cut((0, 0), 0);
    assert_eq!(world.client.client_hello().size, Some(newest));
    assert_eq!(world.client.next_frame(world.now), None);
}

#[test]
fn output_is_acknowledged_once_it_was_shown() {
    let mut world = World::new();
    world.client.receive(Frame::Stdout(Bytes::from_static(b"ab")), world.now).unwrap();
    assert!(world.show());
    let later = world.now + std::time::Duration::from_millis(100);
    assert_eq!(world.client.next_frame(later), None, "it may still be on its way to the screen");
    assert!(!world.show());
    assert_eq!(world.client.next_frame(world.now), None, "small output is acknowledged later");
    let ack = Frame::Ack { stream: Stream::Stdout, offset: 2 };
    assert_eq!(world.client.next_frame(later), Some(ack));
    let large = vec![b'x'; 64 << 10];
    world.client.receive(Frame::Stdout(large.into()), later).unwrap();
    assert!(world.show() && !world.show());
    let ack = Frame::Ack { stream: Stream::Stdout, offset: 2 + (64 << 10) };
    assert_eq!(world.client.next_frame(later), Some(ack), "large output is acknowledged at once");
}

#[test]
fn output_that_the_gate_repeats_is_shown_once() {
    let mut world = World::new();
    world.client.receive(Frame::Stdout(Bytes::from_static(b"abc")), world.now).unwrap();
    let client = world.client.client_hello();
    let hello = ServerHello { stdout_next: 1, ..world.gate.hello(&client) };
    world.client.connected((&client, hello), world.now).unwrap();
    for part in ["b", "cd"] {
        world
            .client
            .receive(Frame::Stdout(Bytes::from_static(part.as_bytes())), world.now)
            .unwrap();
    }
    while world.show() {}
    assert_eq!(world.shown.0, b"abcd");
}

#[test]
fn a_gap_and_a_snapshot_move_the_offset() {
    let mut world = World::new();
    let draw = Bytes::from_static(b"screen");
    let size = Size { width: 80, height: 24 };
    world
        .client
        .receive(Frame::Gap { stream: Stream::Stdout, from: 0, to: 10 }, world.now)
        .unwrap();
    let snapshot = Frame::Snapshot { offset: 12, size, draw: draw.clone() };
    world.client.receive(snapshot.clone(), world.now).unwrap();
    assert_eq!(world.client.next_event(world.now), Some(Event::Gap(10)));
    assert_eq!(world.client.next_event(world.now), Some(Event::Snapshot(draw)));
    assert_eq!(world.client.client_hello().resume.map(|resume| resume.stdout), Some(12));
    let older = Frame::Snapshot { offset: 11, size, draw: Bytes::new() };
    assert!(world.client.receive(older, world.now).is_err());
    let elsewhere = Frame::Gap { stream: Stream::Stdout, from: 0, to: 20 };
    assert!(world.client.receive(elsewhere, world.now).is_err());
}

#[test]
fn a_hello_that_does_not_continue_the_session_ends_it() {
    let world = World::new();
    let client = world.client.client_hello();
    let good = Gate::default().hello(&client);
    let bad = [
        ServerHello { resumed: false, ..good.clone() },
        ServerHello { session: "other".to_owned(), ..good.clone() },
        ServerHello { stdin_next: 1, ..good.clone() },
        ServerHello { stdin_ended: true, ..good.clone() },
        ServerHello { signal_next: 2, ..good.clone() },
        ServerHello { stdout_next: 1, ..good },
    ];
    for hello in bad {
        let mut world = World::new();
        assert!(world.client.connected((&client, hello.clone()), world.now).is_err(), "{hello:?}");
    }
}

#[test]
fn an_exit_without_all_of_the_output_is_a_lost_link() {
    let mut world = World::new();
    let mut ending = zun_common::pty::Ending::with_code(EndingReason::Exited, 0, "");
    ending.zun.stdout_bytes = 3;
    world.client.receive(Frame::Status(Box::new(ending)), world.now).unwrap();
    assert!(world.client.is_over());
    assert!(matches!(world.client.next_event(world.now), Some(Event::Lost(_))));
    assert_eq!(world.client.next_event(world.now), Some(Event::Exit(0)));
}

#[test]
fn stdin_that_the_process_has_not_got_counts_towards_the_window_of_the_next_link() {
    let hello = Gate::default().hello(&ClientHello::default());
    let mut outbox = Outbox::new(&hello);
    let mut typed = Bytes::from(vec![b'x'; 1 << 20]);
    #[expect(clippy::wildcard_enum_match_arm, reason = "no other message is expected")]
    let mut send = |outbox: &mut Outbox| {
        outbox.write(&mut typed);
        let frames = std::iter::from_fn(|| outbox.next_frame());
        let stdin = frames.filter_map(|frame| match frame {
            Frame::Stdin(bytes) => Some(bytes.len() as u64),
            _ => None,
        });
        stdin.sum::<u64>()
    };
    assert_eq!(send(&mut outbox), STDIN_WINDOW);
    for _ in 0..3 {
        outbox.link_lost();
        let hello = ServerHello { stdin_next: STDIN_WINDOW, ..hello.clone() };
        outbox.resumed(&hello).expect("the gate has all of it");
        assert_eq!(send(&mut outbox), 0);
    }
    outbox.stdin_passed(1000).expect("passed on");
    assert_eq!(send(&mut outbox), 1000);
}
