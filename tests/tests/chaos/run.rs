//! One run: start a cluster, let the clients work under faults, and judge.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use zun_common::shutdown::Tasks;
use zun_tests::cluster::Cluster;
use zun_tests::history::{Entry, Kind, Violation, at_most_once, check};

use crate::actions;
use crate::client::Client;
use crate::engines::Engines;
use crate::faults::{Injected, Injector};
use crate::forgotten;
use crate::judge::{Expected, Problem, Wrong, problems};
use crate::plan;
use crate::report::Report;
use crate::settings::Settings;
use crate::timeline::{self, stamp};
use crate::witness::Witness;
use crate::workload::{Board, work};

/// How long the system may take to become right after the last fault.
const RECOVERY_TIMEOUT: Duration = Duration::from_mins(5);
/// If the same things are wrong for so long, they stay wrong.
const SETTLED: Duration = Duration::from_secs(75);
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Runs, prints the report, and fails if anything is wrong.
pub async fn chaos(settings: Settings) {
    println!("chaos: ZUN_CHAOS_SEED={} {settings:?}", settings.seed);
    let mut cluster = Cluster::breakable(settings.shape()).await;
    // One kind of engine keeps its containers over a restart, the other stops them.
    for host in (1..settings.hosts).step_by(2) {
        cluster.set_live_restore(host);
    }
    let tasks = Tasks::new();
    let witness = Witness::start(&tasks).await;
    let endpoints = (0..settings.apis).map(|api| cluster.endpoint(api)).collect();
    let client = Arc::new(Client::new(endpoints, cluster.token(), witness.clone()));
    let sockets = (0..settings.hosts).map(|host| cluster.engine_socket(host)).collect();
    let engines = Engines::new(sockets);

    let begun = Instant::now();
    let mut clients = start_clients(&settings, &client);
    let enough = CancellationToken::new();
    let mut injector = Injector {
        cluster: &mut cluster,
        engines: engines.clone(),
        client: Arc::clone(&client),
        injected: Injected::default(),
    };
    let rounds = plan::rounds(&settings);
    let working = async {
        while let Some(done) = clients.join_next().await {
            done.expect("a client works to its end");
        }
        enough.cancel();
    };
    tokio::join!(working, injector.run(rounds, &enough));
    let healed = Instant::now();
    let mut report = Report::new(&settings, begun.elapsed());

    let history = |client: &Client| client.recorder.entries(&client.facts().created);
    let forgotten = injector.injected.forgotten.clone();
    let expected = Expected::from(&history(&client), &forgotten);
    let mut last = None;
    let mut since = Instant::now();
    while healed.elapsed() < RECOVERY_TIMEOUT && since.elapsed() < SETTLED {
        injector.watch(POLL_INTERVAL).await;
        let now = problems(&client, &engines, &expected).await;
        if now.as_ref().is_some_and(BTreeSet::is_empty) {
            report.right_after = Some(healed.elapsed().as_secs_f64());
            last = now;
            break;
        }
        if now != last {
            since = Instant::now();
            last = now;
        }
    }
    let unanswered = || [(Wrong::NotUp, "the service does not answer".to_owned())].into();
    report.add(last.unwrap_or_else(unanswered));

    let history = history(&client);
    let mut ends = forgotten::former(&history, &forgotten);
    ends.push(forgotten::remembered(&history, &forgotten));
    let violations = ends.iter().flat_map(|history| check(history));
    report.add(violations.map(|violation| (Wrong::History, violation.to_string())));
    report.add(twice(&client, &witness, &expected));
    report.add(actions::problems(&client, &witness.lines(), &expected).await);
    let Injected { faults, on_two_hosts, log, forgotten: _, recoveries } = injector.injected;
    report.recoveries = recoveries;
    (report.faults, report.fault_log) = (faults, log);
    report.add(on_two_hosts.iter().map(|(id, hosts)| {
        (Wrong::Doubled, format!("{id} was on hosts {hosts:?} at the same time"))
    }));
    report.requests.clone_from(&client.facts().sent);
    let start = Utc::now() - client.recorder.now();
    let lines: Vec<String> = history.iter().enumerate().map(|one| line(start, one)).collect();
    let directory = report.directory();
    report.publish(&lines);
    cluster.save_logs(&directory);
    let problems: Vec<String> = report.problems.iter().map(|(_, words)| words.clone()).collect();
    timeline::write(&directory, &problems, (&lines, &report.fault_log));
    let right = report.problems.is_empty();
    cluster.stop().await;
    assert!(tasks.finish(Duration::from_secs(10)).await, "the witness ends");
    assert!(right, "ZUN_CHAOS_SEED={}: see the report above", settings.seed);
}

fn start_clients(settings: &Settings, client: &Arc<Client>) -> JoinSet<()> {
    let board = Arc::new(Board::default());
    let mut clients = JoinSet::new();
    for number in 0..settings.clients {
        let count = settings.operations / settings.clients;
        let steps = plan::steps(settings.seed, number, (settings.clients, count));
        let (client, board) = (Arc::clone(client), Arc::clone(&board));
        clients.spawn(async move { work(&client, &board, (number, &steps)).await });
    }
    clients
}

/// Returns what ran more often than it was asked for, or not at all.
fn twice(client: &Client, witness: &Witness, expected: &Expected) -> Vec<Problem> {
    let (facts, lines) = (client.facts(), witness.lines());
    let violation = |violation: &Violation| {
        let wrong = if violation.kind == Kind::DoneTwice { Wrong::Doubled } else { Wrong::Exec };
        (wrong, violation.to_string())
    };
    let mut found: Vec<Problem> =
        at_most_once(&facts.execs, &lines).iter().map(violation).collect();
    for (token, allowed) in &facts.runs_allowed {
        let ran = lines.get(&format!("run {token}")).copied().unwrap_or_default();
        let id = facts.created.get(token);
        if let Some(allowed) = allowed
            && ran > *allowed
            && !id.is_some_and(|id| expected.may_run_again(*id))
        {
            let words = format!("{id:?} of {token} ran {ran} times, requested were {allowed}");
            found.push((Wrong::Doubled, words));
        }
    }
    found
}

fn line(start: DateTime<Utc>, (index, entry): (usize, &Entry)) -> String {
    let Entry { client, key, call, called, answered, answer } = entry;
    let took = answered.saturating_sub(*called).as_secs_f64();
    let key = key.as_deref().unwrap_or_default();
    let called = stamp(start + *called);
    format!(
        "{called} [client {client}] entry {index} {key} {call:?} -> {answer:?} after {took:.3} s"
    )
}
