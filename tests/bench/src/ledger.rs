//! What the ledger costs: the time of all commits of zun-api during runs, over the time of the runs.

use std::time::Instant;

use zun_tests::cluster::Cluster;

use crate::commands::succeeds;
use crate::figures::{Figure, Summary};
use crate::http::Connection;
use crate::rows::Unit;
use crate::run::Run;

/// How the names of the rows begin that [`measure`] records.
pub const ROWS: &[&str] = &["ledger", "memory-"];

const ROUNDS: usize = 20;

/// Measures the idle memory of a cluster's programs, and then the commits of runs.
pub fn measure(run: &Run) {
    let cluster = run.runtime.block_on(Cluster::start(1));
    crate::memory::measure(run, &cluster);
    if run.wants("ledger") {
        run.record("ledger", share_of_commits(run, &cluster));
    }
    run.runtime.block_on(cluster.stop());
}

fn share_of_commits(run: &Run, cluster: &Cluster) -> Figure {
    let mut api = Connection::open(cluster.metrics_of_api(), cluster.token());
    let zun = cluster.zun();
    let mut counts = Vec::new();
    let mut times = Vec::new();
    let shares: Vec<f64> = (0..run.samples(ROUNDS))
        .map(|_| {
            let before = Commits::read(&mut api);
            let begun = Instant::now();
            succeeds(&mut zun.command(&["run", "-i", "--rm", "cirros", "true"]));
            let took = begun.elapsed().as_secs_f64();
            let after = Commits::read(&mut api);
            counts.push(after.count - before.count);
            times.push((after.seconds - before.seconds) * 1000.0);
            (after.seconds - before.seconds) / took * 100.0
        })
        .collect();
    let (count, time) =
        (Summary::of(&counts, Unit::Count), Summary::of(&times, Unit::Milliseconds));
    let note = format!("{:.0} commits, {:.2} ms together", count.median, time.median);
    Figure::plain(Summary::of(&shares, Unit::Percent)).with_note(note)
}

/// All commits of a zun-api so far.
struct Commits {
    count: f64,
    seconds: f64,
}

impl Commits {
    fn read(api: &mut Connection) -> Self {
        let text = String::from_utf8(api.get("/metrics").to_vec()).expect("text");
        let read = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|it| it.parse().ok()).unwrap_or_else(|| panic!("no {name} in:\n{text}"))
        };
        Self {
            count: read("zun_api_database_write_seconds_count"),
            seconds: read("zun_api_database_write_seconds_sum"),
        }
    }
}
