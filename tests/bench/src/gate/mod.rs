//! The console gate over a direct connection to Docker and over Docker's unix socket: echoes, throughput, memory,
//! lost links, restarts, and many sessions at once.

mod echo;
mod joins;
mod links;
mod many;
mod peer;
mod program;
mod rates;

use zun_tests::cluster::{Cluster, Front};

use self::peer::Host;
use self::program::Program;
use crate::run::Run;

/// How the names of the rows begin that [`measure`] records.
pub const ROWS: &[&str] = &["gate-"];

/// A cluster without a gate of its own, and a gate that the benchmarks can restart, on the same host.
struct Bench<'a> {
    run: &'a Run,
    host: Host,
    program: Program,
}

/// Measures all of them.
pub fn measure(run: &Run) {
    let cluster = run.runtime.block_on(Cluster::behind(Front::Direct));
    let program = run.runtime.block_on(Program::start(&cluster));
    let host = Host::of(&cluster, program.address());
    let mut bench = Bench { run, host, program };
    echo::measure(&bench);
    rates::measure(&bench);
    many::memory(&bench);
    links::resume(&bench);
    links::cuts(&bench);
    joins::measure(&bench);
    links::restart(&mut bench);
    many::load(&bench);
    let Bench { host, program, .. } = bench;
    drop(host);
    run.runtime.block_on(async {
        program.stop().await;
        cluster.stop().await;
    });
}
