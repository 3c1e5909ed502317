//! Links that are lost, and a gate that restarts.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::process::Signal;
use tokio::sync::Notify;
use tokio::time::timeout;
use zun_common::environment::random_share;
use zun_tests::delay::DelayingProxy;
use zun_tests::proxy::Proxy;
use zunclient::console::Event;

use super::Bench;
use super::echo::{SCRIPT, p99};
use super::peer::{Peer, Way};
use crate::figures::{Figure, Summary};
use crate::rows::Unit;

const ROUND_TRIP: Duration = Duration::from_millis(50);
const RESUMES: usize = 50;
const RESTARTS: usize = 20;
const CUTS: usize = 500;
/// The longest time between two cuts.
const BETWEEN: Duration = Duration::from_millis(20);
/// How long a new link may carry no output.
const CARRIES: Duration = Duration::from_secs(30);
const PIECE: usize = 4 << 10;

/// Measures the time until a lost link is replaced, on a long network.
pub fn resume(bench: &Bench<'_>) {
    let Bench { run, host, program } = bench;
    if !run.wants("gate-resume") {
        return;
    }
    host.container("resume", true, SCRIPT);
    let times = run.runtime.block_on(async {
        let far = DelayingProxy::to(program.address()).await;
        let link = Proxy::to(far.address()).await;
        far.set_round_trip(ROUND_TRIP);
        let mut times = Vec::new();
        for _ in 0..run.samples(RESUMES) {
            // Each client loses its link once: after that, it pauses before it tries again.
            let mut peer = host.attach_at("resume", Way::Gate, (link.address(), false)).await;
            let begun = Instant::now();
            link.disconnect();
            reconnected(&mut peer).await;
            times.push(begun.elapsed());
        }
        times
    });
    host.remove("resume");
    let trips = Summary::of_times(&times).median / (ROUND_TRIP.as_secs_f64() * 1000.0);
    let note = format!("{trips:.1} round trips (median).");
    let figure = Figure::plain(Summary::of_times(&times)).with_note(note);
    run.record("gate-resume", Figure { value: p99(&times), ..figure });
}

async fn reconnected(peer: &mut Peer) {
    while peer.event().await != Event::Reconnected {}
}

/// Measures the time until a key that is typed during a restart of the gate is echoed.
pub fn restart(bench: &mut Bench<'_>) {
    let Bench { run, host, program } = bench;
    if !run.wants("gate-restart") {
        return;
    }
    host.container("restart", true, SCRIPT);
    let times = run.runtime.block_on(async {
        let mut peer = host.attach("restart", Way::Gate).await;
        let mut times = Vec::new();
        for round in 0..run.samples(RESTARTS) {
            let key = b'A' + u8::try_from(round % 26).expect("a letter");
            let begun = Instant::now();
            let ((), took) = tokio::join!(program.restart(Signal::TERM), async {
                peer.write(Bytes::copy_from_slice(&[key])).await;
                // It may be echoed before the gate gets the signal: another one follows when the link is back.
                reconnected(&mut peer).await;
                peer.write(Bytes::from_static(b"#")).await;
                while !peer.output().await.contains(&b'#') {}
                begun.elapsed()
            });
            times.push(took);
        }
        times
    });
    host.remove("restart");
    run.record("gate-restart", Figure::plain(Summary::of_times(&times)));
}

/// Counts bytes that were lost or repeated in either direction while the link is cut at random moments.
pub fn cuts(bench: &Bench<'_>) {
    let Bench { run, host, program } = bench;
    if !run.wants("gate-cuts") {
        return;
    }
    host.container("cuts", false, "exec cat");
    let wanted = run.samples(CUTS);
    let (wrong, bytes) = run.runtime.block_on(async {
        let link = Proxy::to(program.address()).await;
        let peer = host.attach_at("cuts", Way::Gate, (link.address(), false)).await;
        let Peer::Console(console) = peer else { panic!("it is the gate's") };
        let (mut input, mut events) = (console.input, console.events);
        let _control = console.control;
        let mut cut = 0;
        let arrived = Notify::new();
        let cutting = async {
            while cut < wanted {
                // The client waits longer and longer if no link carries anything.
                let carried = timeout(CARRIES, arrived.notified()).await;
                carried.expect("output on the new link");
                tokio::time::sleep(BETWEEN.mul_f64(1.0 - random_share(1.0))).await;
                link.disconnect();
                cut += 1;
            }
        };
        let typing = async {
            let mut sent = 0_u64;
            loop {
                let piece: Vec<u8> = (sent..sent + PIECE as u64).map(byte).collect();
                sent += PIECE as u64;
                input.write(piece.into()).await.expect("sent");
            }
        };
        let (mut at, mut wrong) = (0_u64, 0_u64);
        let reading = async {
            loop {
                let event = events.next().await.expect("an event");
                let Event::Stdout(bytes) = event else { continue };
                arrived.notify_one();
                for found in bytes {
                    wrong += u64::from(found != byte(at));
                    at += 1;
                }
            }
        };
        tokio::select! {
            () = cutting => {}
            _ = typing => {}
            _ = reading => {}
        }
        (wrong, at)
    });
    host.remove("cuts");
    let mebibytes = bytes >> 20;
    let note = format!("{wanted} cuts, {mebibytes} MiB in each direction.");
    let wrong = u32::try_from(wrong).map_or(f64::MAX, f64::from);
    assert!(bytes > 0, "nothing came back");
    run.record("gate-cuts", Figure::plain(Summary::of(&[wrong], Unit::Count)).with_note(note));
}

/// The byte at this place of the stream. Neighbours differ, and the pattern does not repeat soon.
fn byte(at: u64) -> u8 {
    let mixed = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    u8::try_from(mixed >> 56).expect("8 bits")
}
