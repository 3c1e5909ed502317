//! The throughput of a process without a terminal, in both directions.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Bench;
use super::peer::{Peer, Way};
use crate::figures::{Figure, Summary};
use crate::rows::Unit;

const ROUNDS: usize = 11;
/// The bytes of one round.
const SIZE: usize = 64 << 20;
const PIECE: usize = 64 << 10;

/// For each number that it reads, it prints as many bytes, or reads them and says so.
const PRINTS: &str = "while read n; do head -c $n /dev/zero; done";
const READS: &str = "while read n; do head -c $n >/dev/null; echo done; done";

/// Measures both directions through the gate and directly, in turn.
pub fn measure(bench: &Bench<'_>) {
    for (row, name, script) in
        [("gate-bulk-out", "bulk-out", PRINTS), ("gate-bulk-in", "bulk-in", READS)]
    {
        if bench.run.wants(row) {
            bench.run.record(row, compare(bench, name, script));
        }
    }
}

fn compare(bench: &Bench<'_>, name: &str, script: &str) -> Figure {
    let Bench { run, host, .. } = bench;
    let names = ["gate", "direct"].map(|way| format!("{name}-{way}"));
    for name in &names {
        host.container(name, false, script);
    }
    let rates = run.runtime.block_on(async {
        let mut gate = host.attach(&names[0], Way::Gate).await;
        let mut direct = host.attach(&names[1], Way::Direct).await;
        let mut rates = Vec::new();
        let prints = script == PRINTS;
        // The first round warms both up.
        for round in 0..=run.samples(ROUNDS) {
            let pair = (once(&mut gate, prints).await, once(&mut direct, prints).await);
            if round > 0 {
                rates.push(pair);
            }
        }
        rates
    });
    for name in &names {
        host.remove(name);
    }
    let per_second = |time: &Duration| 64.0 / time.as_secs_f64();
    let percents: Vec<f64> =
        rates.iter().map(|(gate, direct)| per_second(gate) / per_second(direct) * 100.0).collect();
    let mebibytes = |pick: fn(&(Duration, Duration)) -> &Duration| {
        let rates: Vec<f64> = rates.iter().map(|pair| per_second(pick(pair))).collect();
        Summary::of_rates(&rates).median
    };
    let (gate, direct) = (mebibytes(|pair| &pair.0), mebibytes(|pair| &pair.1));
    let note = format!("Gate {gate:.0} MiB/s, direct {direct:.0} MiB/s.");
    Figure::plain(Summary::of(&percents, Unit::Percent)).with_note(note)
}

async fn once(peer: &mut Peer, prints: bool) -> Duration {
    let begun = Instant::now();
    peer.write(Bytes::from(format!("{SIZE}\n"))).await;
    if prints {
        let mut left = SIZE;
        while left > 0 {
            left = left.checked_sub(peer.output().await.len()).expect("no more than that");
        }
    } else {
        let piece = Bytes::from(vec![b'x'; PIECE]);
        for _ in 0..SIZE / PIECE {
            peer.write(piece.clone()).await;
        }
        peer.until("done").await;
    }
    begun.elapsed()
}
