//! Simulates the whole system on one thread, with a virtual clock: zun-api without HTTP, the real agent, in-memory engines,
//! and a network that loses, repeats and delays messages. A seed decides everything, so a failure can be repeated.
//!
//! ```text
//!  seed ──> executor (which task is next) ──> clients ──> zun-api ──> network ──> agents ──> engines
//!       └─> storm (what fails, and when) ─────────┴──────────┴───────────┴──────────┘   judge: is it right?
//! ```

mod client;
mod cluster;
mod engine;
mod executor;
mod judge;
mod network;
mod random;
mod storm;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::sleep;
use zun_api::simulation::Snapshot;
use zun_common::id::ContainerId;

use crate::history::{self, Answer, Call, Entry};
use client::{Client, Notes};
use cluster::Cluster;
use executor::{Executor, Process};
use judge::Watch;

/// How long clients work and faults happen.
const STORM: Duration = Duration::from_mins(1);

/// Within this time after the storm the cluster must be right.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(700);

/// The time between two checks of the cluster.
const CHECK_INTERVAL: Duration = Duration::from_millis(2_500);

/// How long the cluster must stay right.
const STAYS: Duration = Duration::from_secs(45);

const CLIENTS: usize = 4;
const REQUESTS: usize = 14;
const LONGEST_PAUSE: u64 = 8_000;

/// What a simulation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// A hash of everything that happened. It is the same for the same seed.
    pub fingerprint: String,
    /// What is wrong.
    pub problems: Vec<String>,
    /// The number of requests.
    pub requests: usize,
    /// How long it took after the storm until everything was right, in virtual time.
    pub settled: Duration,
}

/// Simulates the system with this seed. The runtime must have one thread, and a paused clock.
pub fn simulate(runtime: &Runtime, seed: u64) -> Found {
    executor::run(runtime, seed, test)
}

async fn test(executor: Executor) -> Found {
    let (controllers, hosts) = {
        let mut random = executor.random();
        (1 + usize::from(random.percent(60)), 1 + random.below(3).unwrap_or_default())
    };
    let cluster = Cluster::new(&executor, controllers, hosts);
    for controller in cluster.controllers() {
        cluster.start_controller(controller).await;
    }
    for host in cluster.hosts() {
        cluster.start_agent(host);
    }
    sleep(Duration::from_secs(2)).await;
    let notes = Arc::new(Mutex::new(Notes::default()));
    let mut problems = weather(&cluster, &notes).await;
    let calm = executor.now();
    let (settled, left) = settle(&cluster).await;
    problems.extend(left);
    let notes = std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
    let snapshot = cluster.snapshot();
    problems.extend(judge::deeds(&cluster, &snapshot, &notes.execs));
    let entries = history_of(notes.entries, &snapshot);
    // A restored database has lost what zun-api acknowledged since the copy was made.
    if cluster.restores() == 0 {
        problems.extend(history::check(&entries).iter().map(ToString::to_string));
    }
    problems.extend(executor.panics().into_iter().map(|words| format!("a task panicked: {words}")));
    let hosts = cluster.hosts().iter();
    let effects: Vec<_> = hosts.map(|host| host.engine.effects()).collect();
    let all = format!("{entries:?} {snapshot:?} {effects:?} {problems:?} {}", executor.polls());
    Found {
        fingerprint: fingerprint(&all),
        problems,
        requests: entries.len(),
        settled: settled.saturating_sub(calm),
    }
}

/// Lets the clients work during a storm, and returns what was wrong meanwhile.
async fn weather(cluster: &Cluster, notes: &Arc<Mutex<Notes>>) -> Vec<String> {
    let (executor, until) = (cluster.executor(), cluster.executor().now() + STORM);
    let mut ends = Vec::new();
    let mut add = |task: futures_util::future::BoxFuture<'static, ()>| {
        let (end, ended) = oneshot::channel();
        executor.spawn(Process::TEST, async move {
            task.await;
            end.send(()).ok();
        });
        ends.push(ended);
    };
    for number in 0..cluster.hosts().len() {
        add(Box::pin(storm::over_host(cluster.clone(), number, until)));
    }
    for number in 0..cluster.controllers().len() {
        add(Box::pin(storm::over_controller(cluster.clone(), number, until)));
    }
    add(Box::pin(storm::over_database(cluster.clone(), until)));
    for number in 0..CLIENTS {
        add(Box::pin(Client::new(cluster, number, notes).work(REQUESTS, LONGEST_PAUSE)));
    }
    let mut ended = futures_util::future::join_all(ends);
    let (mut watch, mut problems, mut restores) = (Watch::default(), Vec::new(), 0);
    loop {
        if cluster.restores() > restores {
            (watch, restores) = (Watch::default(), cluster.restores());
        }
        if problems.is_empty() {
            problems = watch.problems(&cluster.snapshot(), &judge::real(cluster).await);
        }
        if tokio::time::timeout(CHECK_INTERVAL, &mut ended).await.is_ok() {
            return problems;
        }
    }
}

/// Waits until all checks pass and keep passing. Returns since when they pass, and the remaining problems.
async fn settle(cluster: &Cluster) -> (Duration, Vec<String>) {
    let executor = cluster.executor();
    let end = executor.now() + RECOVERY_TIMEOUT;
    let mut right_since = None;
    loop {
        let now = executor.now();
        cluster.recover().await;
        let problems = wrong_for_a_second(cluster).await;
        if problems.is_empty() {
            let since = *right_since.get_or_insert(now);
            if now > since + STAYS {
                return (since, problems);
            }
        } else if now > end {
            return (now, problems);
        } else {
            right_since = None;
        }
        sleep(CHECK_INTERVAL).await;
    }
}

/// A container that the engine restarts changes all the time, and its report takes a moment.
async fn wrong_for_a_second(cluster: &Cluster) -> Vec<String> {
    let mut problems = Vec::new();
    for _ in 0..3 {
        problems = judge::problems(cluster, &cluster.snapshot(), &judge::real(cluster).await);
        if problems.is_empty() {
            break;
        }
        sleep(Duration::from_millis(700)).await;
    }
    problems
}

/// Adds what the clients cannot know: the containers of creates without an answer, and removals at the end of a run.
fn history_of(mut entries: Vec<Entry>, snapshot: &Snapshot) -> Vec<Entry> {
    let creates = snapshot.operations.iter().filter(|row| row.kind == "create");
    let created: BTreeMap<String, ContainerId> = creates
        .filter_map(|row| Some((row.idempotency_key.clone()?, row.container.parse().ok()?)))
        .collect();
    for entry in &mut entries {
        entry.learn_created(&created);
    }
    let ends = snapshot.containers.iter().filter(|row| row.auto_remove);
    entries.extend(ends.filter_map(|row| {
        Some(Entry {
            client: CLIENTS,
            key: None,
            call: Call::Delete { id: row.uuid.parse().ok()? },
            called: Duration::ZERO,
            answered: Duration::ZERO,
            answer: Answer::Unknown { created: None },
        })
    }));
    entries
}

fn fingerprint(text: &str) -> String {
    let mut first = [0; 8];
    first.copy_from_slice(&Sha256::digest(text.as_bytes())[..8]);
    format!("{:016x}", u64::from_be_bytes(first))
}
