//! 1,000 simulated agents on one RabbitMQ, with two zun-api on PostgreSQL.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use zun_common::shutdown::Tasks;
use zun_compute::Agent;
use zun_compute::driver::fake::FakeDriver;
use zun_compute::settings::Settings;
use zun_tests::eventually::eventually_some;

use crate::creates::create;
use crate::figures::{Figure, Summary, quantile};
use crate::http::{Connection, load};
use crate::rows::Unit;
use crate::run::Run;
use crate::server::{Kind, Servers};

/// How the names of the rows begin that [`measure`] records.
pub const ROWS: &[&str] = &["agents-"];

const AGENTS: usize = 1000;
/// How many agents connect at the same time.
const CONNECTING: usize = 20;
const CLIENTS: usize = 8;
const IDLE: Duration = Duration::from_secs(20);
const WINDOW: Duration = Duration::from_secs(5);
const WINDOWS: usize = 4;
/// The time limit for all agents to register.
const REGISTERING: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_secs(2);
/// How many times per second the kernel counts the time of processes.
const TICKS: f64 = 100.0;

/// Measures heartbeats alone, and then creates.
pub fn measure(run: &Run) {
    let servers = Servers::start(run, Kind::Postgres, 2);
    let agents = run.runtime.block_on(start(&servers, &servers.tasks));
    let mut api = servers.connect(0);
    wait_until_all_are_up(run, &mut api);
    if run.wants("agents-heartbeats") {
        run.record("agents-heartbeats", heartbeats(run, &servers));
    }
    let ended = AtomicBool::new(false);
    let (loads, fewest) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut fewest = AGENTS;
            while !ended.load(Ordering::Relaxed) {
                fewest = fewest.min(hosts_up(&mut api));
                std::thread::park_timeout(Duration::from_secs(1));
            }
            fewest
        });
        let mut connections = servers.connections(CLIENTS);
        let windows = run.samples(WINDOWS);
        let loads: Vec<_> = (0..windows).map(|_| load(&mut connections, WINDOW, create)).collect();
        ended.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        (loads, watcher.join().expect("the watcher"))
    });
    if run.wants("agents-creates") {
        let rates: Vec<f64> = loads.iter().map(|load| load.per_second).collect();
        run.record("agents-creates", Figure::plain(Summary::of_rates(&rates)));
    }
    if run.wants("agents-p99") {
        let tails: Vec<f64> = loads.iter().map(|load| tail(&load.took)).collect();
        run.record("agents-p99", Figure::plain(Summary::of(&tails, Unit::Milliseconds)));
    }
    if run.wants("agents-flaps") {
        let down = u32::try_from(AGENTS - fewest).expect("few");
        run.record("agents-flaps", Figure::plain(Summary::of(&[f64::from(down)], Unit::Count)));
    }
    // As in a crash: their containers are no longer needed.
    run.runtime.block_on(async { drop(agents) });
    servers.stop(run);
}

async fn start(servers: &Servers, tasks: &Tasks) -> Vec<Agent> {
    let mut agents = Vec::with_capacity(AGENTS);
    while agents.len() < AGENTS {
        let names = agents.len()..AGENTS.min(agents.len() + CONNECTING);
        let starting = names.map(|number| start_one(servers, tasks, format!("host{number}")));
        agents.extend(futures_util::future::join_all(starting).await);
    }
    agents
}

async fn start_one(servers: &Servers, tasks: &Tasks, name: String) -> Agent {
    let settings = Settings { host: Some(name.parse().expect("a name")), ..Settings::default() };
    let bus = zun_common::bus::connect(&servers.bus.settings(), &name, tasks).expect("a bus");
    let connected = async || bus.transport().is_connected().then_some(());
    eventually_some("the bus is connected", connected).await;
    Agent::start(settings, bus, Arc::new(FakeDriver::new()), tasks).await.expect("an agent")
}

/// Asks rarely: the list of 1,000 hosts is long, and the agents need the processors to register.
fn wait_until_all_are_up(run: &Run, api: &mut Connection) {
    let begun = Instant::now();
    loop {
        let up = hosts_up(api);
        if up == AGENTS {
            return;
        }
        assert!(begun.elapsed() < REGISTERING, "only {up} hosts are up after {REGISTERING:?}");
        run.pause(PAUSE);
    }
}

fn hosts_up(api: &mut Connection) -> usize {
    let shown = api.json("/v1/services");
    let services = shown["services"].as_array().expect("a list");
    services.iter().filter(|service| service["state"] == "up").count()
}

/// Measures the time that the processors spend in both zun-api while nothing but heartbeats happens.
fn heartbeats(run: &Run, servers: &Servers) -> Figure {
    let used = || -> f64 { servers.pids().into_iter().map(processor_time).sum() };
    let (before, begun) = (used(), Instant::now());
    run.pause(IDLE);
    let share = (used() - before) / begun.elapsed().as_secs_f64() * 100.0;
    Figure::plain(Summary::of(&[share], Unit::Percent))
}

/// Returns the seconds of processor time that a process has used.
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name is in parentheses and may contain any character. User and system time are the 12th and 13th fields after
    // it.
    let (_, fields) = stat.rsplit_once(") ").expect("fields");
    let ticks = fields.split(' ').skip(11).take(2).map(|it| it.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / TICKS
}

/// Returns the time in milliseconds that 99 % of the answers take at most.
fn tail(took: &[Duration]) -> f64 {
    let mut sorted: Vec<f64> = took.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.99)
}
