//! Many sessions at once: their memory while they are idle, and an echo while they print.

use std::time::Duration;

use tokio::task::JoinSet;

use super::Bench;
use super::echo::{SCRIPT, echo, p99};
use super::peer::Way;
use crate::figures::{Figure, Summary};
use crate::memory::proportional_set_size;
use crate::rows::Unit;

/// How many sessions there are.
const SESSIONS: usize = 200;
/// How many keys are typed with and without them.
const KEYS: usize = 500;
/// The time until memory that was used for opening is given back.
const SETTLE: Duration = Duration::from_secs(2);
/// Prints a megabyte a second, with little effort.
const FLOOD: &str = "while :; do dd if=/dev/zero bs=1000000 count=1 2>/dev/null; sleep 1; done";

/// Measures the memory of each session.
pub fn memory(bench: &Bench<'_>) {
    let Bench { run, host, program } = bench;
    if !run.wants("gate-memory") {
        return;
    }
    host.container("idle", true, "sleep 100000");
    let count = run.samples(SESSIONS);
    let (before, after) = run.runtime.block_on(async {
        // The first session loads what all share.
        let mut open = vec![host.exec("idle", Way::Gate, (true, "sleep 100000")).await];
        tokio::time::sleep(SETTLE).await;
        let before = proportional_set_size(program.pid());
        for _ in 0..count {
            open.push(host.exec("idle", Way::Gate, (true, "sleep 100000")).await);
        }
        tokio::time::sleep(SETTLE).await;
        let after = proportional_set_size(program.pid());
        drop(open);
        (before, after)
    });
    host.remove("idle");
    let sessions = u32::try_from(count).map_or(f64::MAX, f64::from);
    let each = (after - before) / sessions;
    let note = format!("{:.0} KiB, of {count} sessions of execs.", each * 1024.0);
    run.record("gate-memory", Figure::plain(Summary::of(&[each], Unit::Mebibytes)).with_note(note));
}

/// Measures the echo in one session while many others print a megabyte a second each, and the same with direct
/// connections.
pub fn load(bench: &Bench<'_>) {
    let Bench { run, .. } = bench;
    if !run.wants("gate-load") {
        return;
    }
    let count = run.samples(SESSIONS);
    let (alone, loaded) = echoes_under_load(bench, Way::Gate, count);
    let (alone_direct, loaded_direct) = echoes_under_load(bench, Way::Direct, count);
    let (one, all) = (p99(&alone), p99(&loaded));
    let direct = p99(&loaded_direct);
    let direct_ratio = direct / p99(&alone_direct);
    let (zun, peer) = (Summary::of_times(&loaded), Summary::of_times(&alone));
    let note = format!(
        "99 %: {all:.2} ms with {count} sessions, {one:.2} ms with one. With as many direct connections: {direct:.2} ms, \
         {direct_ratio:.1} times one."
    );
    let figure = Figure { value: all / one, zun, peer: Some(peer), note: Some(note) };
    run.record("gate-load", figure);
}

/// Returns the times of echoes without other sessions, and with so many.
fn echoes_under_load(bench: &Bench<'_>, way: Way, count: usize) -> (Vec<Duration>, Vec<Duration>) {
    let Bench { run, host, .. } = bench;
    host.container("load-echo", true, SCRIPT);
    host.container("load", true, "sleep 100000");
    let times = run.runtime.block_on(async {
        let mut typist = host.attach("load-echo", way).await;
        echo(&mut typist, 0).await;
        let mut alone = Vec::new();
        for key in 0..KEYS {
            alone.push(echo(&mut typist, key).await);
        }
        let mut readers = JoinSet::new();
        for _ in 0..count {
            let mut reader = host.exec("load", way, (false, FLOOD)).await;
            readers.spawn(async move {
                loop {
                    reader.output().await;
                }
            });
        }
        let mut loaded = Vec::new();
        for key in 0..KEYS {
            loaded.push(echo(&mut typist, key).await);
        }
        assert!(readers.try_join_next().is_none(), "a session has ended");
        readers.shutdown().await;
        (alone, loaded)
    });
    for name in ["load-echo", "load"] {
        host.remove(name);
    }
    times
}
