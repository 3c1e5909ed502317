//! However often the link is lost, each byte arrives once.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Type(usize),
    Deliver(usize),
    Write(usize),
    Print(usize),
    PrintError(usize),
    Receive(usize),
    Acknowledge,
    /// The link is lost; whether the gate has noticed before the client is back.
    LoseLink {
        noticed: bool,
    },
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1_usize..20_000).prop_map(Step::Type),
        (1_usize..4).prop_map(Step::Deliver),
        (1_usize..6).prop_map(Step::Write),
        (1_usize..40_000).prop_map(Step::Print),
        (1_usize..10_000).prop_map(Step::PrintError),
        (1_usize..5).prop_map(Step::Receive),
        Just(Step::Acknowledge),
        any::<bool>().prop_map(|noticed| Step::LoseLink { noticed }),
        (1_u64..30).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 1..120)
}

fn bytes(from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|number| u8::try_from(number % 253).expect("small")).collect()
}

/// A client, its link, and a process.
struct World {
    session: Session,
    now: Instant,
    client: Client,
    /// All connections that the gate considers open, although their links are lost.
    lost: Vec<ConnectionId>,
    typed: Vec<u8>,
    /// What the client has sent, and the gate has not received: the link may be lost before.
    on_the_way: VecDeque<Vec<u8>>,
    /// The offset of the next byte that the client sends.
    sent: usize,
    acknowledged: usize,
    read: Vec<u8>,
    printed: Vec<u8>,
    errors: Vec<u8>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let (mut session, now) = (session(false), Instant::now());
        let client = join(&mut session, hello(), now);
        Self {
            session,
            now,
            client,
            lost: Vec::new(),
            typed: Vec::new(),
            on_the_way: VecDeque::new(),
            sent: 0,
            acknowledged: 0,
            read: Vec::new(),
            printed: Vec::new(),
            errors: Vec::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Type(length) => {
                let more = bytes(self.typed.len(), length);
                self.typed.extend(more);
                self.send();
            }
            Step::Deliver(count) => (0..count).for_each(|_| self.deliver()),
            Step::Write(count) => (0..count).for_each(|_| self.write()),
            Step::Print(length) => self.print(EngineStream::Stdout, length),
            Step::PrintError(length) => self.print(EngineStream::Stderr, length),
            Step::Receive(count) => {
                for _ in 0..count {
                    self.client.receive_one(&mut self.session, self.now);
                }
                self.take_acks();
            }
            Step::Acknowledge => self.client.acknowledge(&mut self.session, self.now),
            Step::LoseLink { noticed } => self.lose_link(noticed),
            Step::Wait(milliseconds) => self.now += Duration::from_millis(milliseconds),
        }
    }

    /// A message of the client arrives. An old connection that is not closed yet delivers the same.
    fn deliver(&mut self) {
        let Some(piece) = self.on_the_way.pop_front() else { return };
        self.client.types(&mut self.session, &piece, self.now);
        for old in &self.lost {
            let frame = Frame::Stdin(Bytes::from(piece.clone()));
            self.session.receive(*old, frame, self.now);
        }
    }

    fn write(&mut self) {
        let next = self.session.next_input();
        if let Some(InputChunk { chunk: Chunk::Bytes(piece), .. }) = next {
            self.read.extend(&piece);
            self.session.wrote(self.now);
        }
    }

    fn print(&mut self, stream: EngineStream, length: usize) {
        if !self.session.wants_output() {
            return;
        }
        let printed = match stream {
            EngineStream::Stdout => &mut self.printed,
            EngineStream::Stderr => &mut self.errors,
        };
        let more = bytes(printed.len(), length);
        self.session.output(stream, &more, self.now);
        printed.extend(more);
    }

    fn take_acks(&mut self) {
        for (stream, offset) in self.client.acks.drain(..) {
            assert_eq!(stream, Stream::Stdin);
            let offset = usize::try_from(offset).expect("small");
            assert!(offset <= self.sent);
            self.acknowledged = self.acknowledged.max(offset);
        }
        self.send();
    }

    /// Sends what the window allows.
    fn send(&mut self) {
        let window = usize::try_from(zun_common::pty::STDIN_WINDOW).expect("small");
        let until = self.typed.len().min(self.acknowledged + window);
        if until > self.sent {
            self.on_the_way.push_back(self.typed[self.sent..until].to_vec());
            self.sent = until;
        }
    }

    fn lose_link(&mut self, noticed: bool) {
        self.stdout.append(&mut self.client.stdout);
        self.stderr.append(&mut self.client.stderr);
        if noticed {
            self.session.disconnect(self.client.id, Left::Lost, self.now);
        } else {
            self.lost.push(self.client.id);
        }
        self.on_the_way.clear();
        let resume = self.client.resume(self.stdout.len() as u64, self.stderr.len() as u64);
        self.client = self.client.again(&mut self.session, resume, self.now);
        let next = usize::try_from(self.client.hello.stdin_next).expect("small");
        assert!(next >= self.acknowledged && next <= self.sent, "{next}");
        (self.sent, self.acknowledged) = (next, next);
        assert_eq!(self.client.hello.stdout_next, self.stdout.len() as u64);
        for old in &self.lost {
            let closed = self.session.next(*old, self.now);
            assert_eq!(closed, Next::Close(close::REPLACED));
        }
        self.send();
    }

    /// Lets everything arrive.
    fn settle(&mut self) {
        for _ in 0..500 {
            self.step(&Step::Deliver(10));
            self.step(&Step::Write(100));
            self.step(&Step::Wait(25));
            self.step(&Step::Receive(100));
            self.step(&Step::Acknowledge);
        }
        self.stdout.append(&mut self.client.stdout);
        self.stderr.append(&mut self.client.stderr);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_byte_is_lost_and_none_is_repeated(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        prop_assert_eq!(world.client.closed, None);
        prop_assert!(world.read == world.typed, "{} of {}", world.read.len(), world.typed.len());
        prop_assert!(world.stdout == world.printed, "{} of {}", world.stdout.len(), world.printed.len());
        prop_assert!(world.stderr == world.errors, "{} of {}", world.stderr.len(), world.errors.len());
    }
}
