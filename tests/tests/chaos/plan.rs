//! The schedule: what each client does, and which faults happen, both drawn from the seed. How long requests take is not
//! in it, so two runs with one seed differ.

use std::collections::HashSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};

use crate::settings::Settings;

/// Names per client. Few, so that names are used again and clients meet on them.
const NAMES_PER_CLIENT: usize = 3;

/// One step of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The name that it works with.
    pub name: String,
    /// What to do if the client knows no container of that name.
    pub if_free: IfFree,
    /// What to do otherwise.
    pub if_held: IfHeld,
    /// How long to wait before it.
    pub pause: Duration,
}

/// What to do with a name without a known container.
#[derive(Debug, Clone, PartialEq)]
pub enum IfFree {
    /// Create one.
    Create(New),
    /// Look for one.
    Find,
}

/// A container to create.
#[derive(Debug, Clone, PartialEq)]
pub struct New {
    /// Whether to start it.
    pub run: bool,
    /// Whether the engine restarts it when it ends.
    pub restarts: bool,
    /// Memory in MiB.
    pub memory: u64,
}

/// What to do with a container.
#[derive(Debug, Clone, PartialEq)]
pub enum IfHeld {
    /// Delete it, if it is stopped.
    Delete,
    /// Stop and delete it.
    DeleteStop,
    /// Kill and delete it.
    DeleteForce,
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Send it SIGKILL.
    Kill,
    /// Run a command in it.
    Exec,
    /// Change its memory, in MiB.
    Limit(u64),
    /// Give it another name.
    Rename(String),
    /// Show it by its ID.
    Show,
    /// Show it by its name.
    Find,
    /// List all containers.
    List,
    /// Create another one with the same name.
    Create(New),
}

/// What a fault hits. The numbers count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// A zun-api.
    Api(usize),
    /// The agent of a host.
    Agent(usize),
    /// The engine of a host.
    Engine(usize),
    /// A node of the broker.
    Rabbit(usize),
    /// The link between a zun-api and the broker.
    ApiLink(usize),
    /// The link between the agent of a host and the broker.
    AgentLink(usize),
    /// The link between a zun-api and PostgreSQL.
    DatabaseLink(usize),
    /// The clock of a zun-api.
    ApiClock(usize),
    /// The clock of the agent of a host.
    AgentClock(usize),
    /// The name of a host.
    HostName(usize),
    /// PostgreSQL.
    Postgres,
    /// The database.
    Database,
    /// What the broker has for the cluster.
    Queues,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// SIGKILL; started again at the end.
    Kill,
    /// SIGTERM; started again at the end.
    Terminate,
    /// SIGSTOP; SIGCONT at the end.
    Freeze,
    /// Connections end, and new ones are refused.
    Cut,
    /// Connections stay open, but nothing passes.
    Stall,
    /// Connections stay open, but nothing comes from the broker.
    StallAnswers,
    /// It is copied while no zun-api runs; at the end, they are killed and the copy is brought back.
    Restore,
    /// It is removed; empty at the end.
    Wipe,
    /// It is so many seconds ahead, or behind.
    Step(i32),
    /// Another agent takes it, on the same engine.
    Twin,
    /// Another agent takes it, on the engine of another host.
    Impostor,
}

/// How often each fault of a part happens, of 10.
type Weights = &'static [(How, u32)];

const OF_SERVICES: Weights = &[(How::Kill, 6), (How::Terminate, 1), (How::Freeze, 3)];
const OF_FOREIGN: Weights = &[(How::Kill, 7), (How::Freeze, 3)];
const OF_LINKS: Weights = &[(How::Cut, 4), (How::Stall, 4), (How::StallAnswers, 2)];
const OF_CLOCKS: Weights = &[
    (How::Step(20), 2),
    (How::Step(-20), 2),
    (How::Step(300), 2),
    (How::Step(-300), 2),
    (How::Step(7_200), 1),
    (How::Step(-7_200), 1),
];
const OF_NAMES: Weights = &[(How::Twin, 6), (How::Impostor, 4)];
const OF_POSTGRES: Weights = &[(How::Kill, 10)];
const OF_THE_DATABASE: Weights = &[(How::Restore, 10)];
const OF_QUEUES: Weights = &[(How::Wipe, 10)];

impl Part {
    const fn faults(self) -> Weights {
        match self {
            Self::Api(_) | Self::Agent(_) => OF_SERVICES,
            Self::Engine(_) | Self::Rabbit(_) => OF_FOREIGN,
            Self::ApiLink(_) | Self::AgentLink(_) | Self::DatabaseLink(_) => OF_LINKS,
            Self::ApiClock(_) | Self::AgentClock(_) => OF_CLOCKS,
            Self::HostName(_) => OF_NAMES,
            Self::Postgres => OF_POSTGRES,
            Self::Database => OF_THE_DATABASE,
            Self::Queues => OF_QUEUES,
        }
    }
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it hits.
    pub part: Part,
    /// What happens.
    pub how: How,
    /// How long it lasts.
    pub lasts: Duration,
}

/// Some faults at the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// How long to wait before it.
    pub pause: Duration,
    /// The faults, each of another part.
    pub faults: Vec<Fault>,
}

/// Returns the steps of a client.
pub fn steps(seed: u64, client: usize, (clients, count): (usize, usize)) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(seed ^ (client as u64 + 1).rotate_left(32));
    (0..count).map(|_| step(&mut random, clients * NAMES_PER_CLIENT)).collect()
}

fn step(random: &mut StdRng, names: usize) -> Step {
    let name = |random: &mut StdRng| format!("name-{}", random.random_range(0..names));
    let own = name(random);
    let if_free = match random.random_range(0..100) {
        0..85 => IfFree::Create(new(random)),
        _ => IfFree::Find,
    };
    let if_held = match random.random_range(0..100) {
        0..5 => IfHeld::Delete,
        5..14 => IfHeld::DeleteStop,
        14..21 => IfHeld::DeleteForce,
        21..36 => IfHeld::Start,
        36..50 => IfHeld::Stop,
        50..56 => IfHeld::Kill,
        56..78 => IfHeld::Exec,
        78..82 => IfHeld::Limit(memory(random)),
        82..86 => IfHeld::Rename(name(random)),
        86..91 => IfHeld::Show,
        91..94 => IfHeld::Find,
        94..97 => IfHeld::List,
        _ => IfHeld::Create(new(random)),
    };
    let pause = Duration::from_millis(random.random_range(50..600));
    Step { name: own, if_free, if_held, pause }
}

fn new(random: &mut StdRng) -> New {
    New {
        run: random.random_bool(0.75),
        restarts: random.random_bool(0.15),
        memory: memory(random),
    }
}

fn memory(random: &mut StdRng) -> u64 {
    random.random_range(16..64)
}

/// Returns endless rounds of faults. Those of a long run begin with one of each kind.
pub fn rounds(settings: &Settings) -> impl Iterator<Item = Round> + use<> {
    let mut random = StdRng::seed_from_u64(settings.seed);
    let (parts, long) = (parts(settings), settings.is_long);
    let mut first = if long { one_of_each(&mut random, settings) } else { Vec::new() };
    std::iter::repeat_with(move || first.pop().unwrap_or_else(|| round(&mut random, &parts, long)))
}

/// All parts that can fail together with others.
fn parts(settings: &Settings) -> Vec<Part> {
    let (apis, hosts) = (0..settings.apis, 0..settings.hosts);
    let mut parts: Vec<Part> = (0..settings.brokers).map(Part::Rabbit).collect();
    parts.extend(apis.clone().flat_map(|api| [Part::Api(api), Part::ApiLink(api)]));
    parts.extend(
        hosts
            .clone()
            .flat_map(|host| [Part::Agent(host), Part::Engine(host), Part::AgentLink(host)]),
    );
    if settings.is_long {
        parts.extend(apis.clone().map(Part::ApiClock));
        parts.extend(hosts.flat_map(|host| [Part::AgentClock(host), Part::HostName(host)]));
    }
    if settings.is_long && settings.postgres {
        parts.extend(apis.map(Part::DatabaseLink));
        parts.push(Part::Postgres);
    }
    parts
}

/// Parts that fail alone, in long runs.
const ALONE: [Part; 2] = [Part::Database, Part::Queues];

/// One round for each kind of fault, and one that lasts longer than every deadline of an operation, in any order.
fn one_of_each(random: &mut StdRng, settings: &Settings) -> Vec<Round> {
    let mut parts = parts(settings);
    parts.shuffle(random);
    parts.extend(ALONE);
    let mut kinds = HashSet::new();
    parts.retain(|part| kinds.insert(std::mem::discriminant(part)));
    let kinds =
        parts.into_iter().flat_map(|part| part.faults().iter().map(move |(how, _)| (part, *how)));
    let mut faults: Vec<Fault> =
        kinds.map(|(part, how)| Fault { part, how, lasts: lasts(random, how, false) }).collect();
    let (part, how) = (Part::AgentLink(random.random_range(0..settings.hosts)), How::Stall);
    faults.push(Fault { part, how, lasts: Duration::from_secs(70) });
    faults.shuffle(random);
    faults.into_iter().map(|fault| Round { pause: pause(random), faults: vec![fault] }).collect()
}

fn round(random: &mut StdRng, parts: &[Part], long: bool) -> Round {
    if long && random.random_bool(0.06) {
        let part = *ALONE.choose(random).expect("two parts");
        let fault = fault(random, part, long);
        return Round { pause: pause(random), faults: vec![fault] };
    }
    let mut parts = parts.to_vec();
    let count = match random.random_range(0..10) {
        0..5 => 1,
        5..8 => 2,
        8 => 3,
        _ => parts.len(),
    };
    let faults = (0..count).map(|_| {
        let part = parts.swap_remove(random.random_range(0..parts.len()));
        fault(random, part, long)
    });
    let faults = faults.collect();
    Round { pause: pause(random), faults }
}

fn pause(random: &mut StdRng) -> Duration {
    Duration::from_millis(random.random_range(500..3_000))
}

fn fault(random: &mut StdRng, part: Part, long: bool) -> Fault {
    let all: u32 = part.faults().iter().map(|(_, weight)| weight).sum();
    let mut left = random.random_range(0..all);
    let chosen = part.faults().iter().find(|(_, weight)| {
        let is_here = left < *weight;
        left = left.saturating_sub(*weight);
        is_here
    });
    let how = chosen.map_or(How::Kill, |(how, _)| *how);
    Fault { part, how, lasts: lasts(random, how, long) }
}

/// Some outages last longer than the deadline of most calls (10 s), some longer than that of an operation (60 s).
fn lasts(random: &mut StdRng, how: How, long: bool) -> Duration {
    let lasts = match (how, random.random_range(0..40)) {
        // Enough for the clients to do something that is forgotten.
        (How::Restore, _) => 4_000..15_000,
        (_, 0) if long => 65_000..80_000,
        (_, 0..9) => 10_000..16_000,
        _ => 200..5_000,
    };
    Duration::from_millis(random.random_range(lasts))
}

#[test]
fn one_seed_gives_one_schedule() {
    let all = |seed| {
        let settings = Settings { seed, apis: 2, brokers: 3, ..Settings::read(100, true) };
        let rounds: Vec<Round> = rounds(&settings).take(50).collect();
        (steps(seed, 0, (6, 100)), steps(seed, 1, (6, 100)), rounds)
    };
    assert_eq!(all(7), all(7));
    assert_ne!(all(7), all(8));
    let (one, other, _) = all(7);
    assert_ne!(one, other, "each client has its own steps");
}
