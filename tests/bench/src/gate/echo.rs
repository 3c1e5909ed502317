//! The time from a key to its echo.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Bench;
use super::peer::{Peer, Way};
use crate::figures::{Figure, Summary, quantile};

const KEYS: usize = 2000;

/// The terminal does not echo, so the process has sent what comes back.
pub const SCRIPT: &str = "stty raw -echo; echo ready; exec cat";

/// Measures keys on three terminals in turn.
pub fn measure(bench: &Bench<'_>) {
    let Bench { run, host, .. } = bench;
    let rows = ["gate-echo", "gate-echo-added", "gate-echo-p99"];
    if !rows.iter().any(|row| run.wants(row)) {
        return;
    }
    let ways = [Way::Gate, Way::Direct, Way::Socket];
    let names = ["echo-gate", "echo-direct", "echo-socket"];
    for name in names {
        host.container(name, true, SCRIPT);
    }
    let times = run.runtime.block_on(async {
        let mut peers = Vec::new();
        for (name, way) in names.iter().zip(ways) {
            peers.push(host.attach(name, way).await);
        }
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for peer in &mut peers {
            echo(peer, 0).await;
        }
        for key in 0..run.samples(KEYS) {
            for (peer, times) in peers.iter_mut().zip(&mut times) {
                times.push(echo(peer, key).await);
            }
        }
        times
    });
    let [gate, direct, socket] = times.each_ref().map(|times| Summary::of_times(times));
    let note = format!(
        "Medians: gate {:.0} µs, direct {:.0} µs, unix socket {:.0} µs.",
        gate.median * 1000.0,
        direct.median * 1000.0,
        socket.median * 1000.0
    );
    if run.wants("gate-echo") {
        run.record("gate-echo", Figure::ratio(gate, direct).with_note(note.clone()));
    }
    if run.wants("gate-echo-added") {
        let value = gate.median - socket.median;
        let figure = Figure { value, zun: gate, peer: Some(socket), note: Some(note) };
        run.record("gate-echo-added", figure);
    }
    if run.wants("gate-echo-p99") {
        let [ours, direct, socket] = times.each_ref().map(|times| p99(times));
        let note = format!("99 %: direct {direct:.2} ms, unix socket {socket:.2} ms.");
        let figure = Figure { value: ours, ..Figure::plain(gate).with_note(note) };
        run.record("gate-echo-p99", figure);
    }
    for name in names {
        host.remove(name);
    }
}

/// Types a key, and returns the time until it comes back.
pub async fn echo(peer: &mut Peer, key: usize) -> Duration {
    // Capital letters are not in the word that the script prints first.
    let key = b'A' + u8::try_from(key % 26).expect("a letter");
    let begun = Instant::now();
    peer.write(Bytes::copy_from_slice(&[key])).await;
    while !peer.output().await.contains(&key) {}
    begun.elapsed()
}

/// The time in milliseconds that 99 % of the samples keep.
pub fn p99(times: &[Duration]) -> f64 {
    let mut all: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    all.sort_by(f64::total_cmp);
    quantile(&all, 0.99)
}
