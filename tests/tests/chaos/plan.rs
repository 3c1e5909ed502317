//! The schedule: what each client does, and which faults happen, both drawn from the seed. How long requests take is not
//! in it, so two runs with one seed differ.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

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
    /// Show it by its id.
    Show,
    /// Show it by its name.
    Find,
    /// List all containers.
    List,
    /// Create another one with the same name.
    Create(New),
}

/// A component that a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// zun-api.
    Api,
    /// The agent of a host.
    Agent(usize),
    /// The engine of a host.
    Engine(usize),
    /// The broker.
    Rabbit,
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

/// Returns endless rounds of faults.
pub fn rounds(seed: u64, hosts: usize, long_outages: bool) -> impl Iterator<Item = Round> {
    let mut random = StdRng::seed_from_u64(seed);
    std::iter::repeat_with(move || round(&mut random, hosts, long_outages))
}

fn round(random: &mut StdRng, hosts: usize, long_outages: bool) -> Round {
    let mut parts = vec![Part::Api, Part::Rabbit];
    parts.extend((0..hosts).flat_map(|host| [Part::Agent(host), Part::Engine(host)]));
    let count = match random.random_range(0..10) {
        0..5 => 1,
        5..8 => 2,
        8 => 3,
        _ => parts.len(),
    };
    let faults = (0..count).map(|_| {
        let part = parts.swap_remove(random.random_range(0..parts.len()));
        fault(random, part, long_outages)
    });
    let faults = faults.collect();
    Round { pause: Duration::from_millis(random.random_range(500..3_000)), faults }
}

fn fault(random: &mut StdRng, part: Part, long_outages: bool) -> Fault {
    let how = match (part, random.random_range(0..10)) {
        (_, 0..3) => How::Freeze,
        (Part::Api | Part::Agent(_), 3) => How::Terminate,
        (Part::Api | Part::Agent(_) | Part::Engine(_) | Part::Rabbit, _) => How::Kill,
    };
    // Some outages last longer than the deadline of most calls (10 s), some longer than that of an operation (60 s).
    let lasts = match random.random_range(0..40) {
        0 if long_outages => 65_000..80_000,
        0..9 => 10_000..16_000,
        _ => 200..5_000,
    };
    Fault { part, how, lasts: Duration::from_millis(random.random_range(lasts)) }
}

#[test]
fn one_seed_gives_one_schedule() {
    let all = |seed| {
        let rounds: Vec<Round> = rounds(seed, 2, true).take(50).collect();
        (steps(seed, 0, (6, 100)), steps(seed, 1, (6, 100)), rounds)
    };
    assert_eq!(all(7), all(7));
    assert_ne!(all(7), all(8));
    let (one, other, _) = all(7);
    assert_ne!(one, other, "each client has its own steps");
}
