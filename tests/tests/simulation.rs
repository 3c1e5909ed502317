//! Simulates the whole system with many seeds. `ZUN_SIMULATION_SEEDS` is their number, and `ZUN_SIMULATION_SEED` repeats one.

use tokio::runtime::{Builder, Runtime};
use zun_common::telemetry::LogSettings;
use zun_tests::simulation::{Found, simulate};

/// How many seeds a plain run has.
const SEEDS: u64 = 200;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

fn run(seed: u64) -> Found {
    simulate(&runtime(), seed)
}

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var_os(name)?.into_string().ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

#[test]
fn whatever_fails_what_was_accepted_is_done_once() {
    let seeds = match setting("ZUN_SIMULATION_SEED") {
        Some(seed) => {
            zun_common::telemetry::init(&LogSettings::default()).expect("a valid filter");
            vec![seed]
        }
        None => (0..setting("ZUN_SIMULATION_SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed = std::sync::Mutex::new(Vec::new());
    let worker = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            let found = run(*seed);
            if !found.problems.is_empty() {
                failed.lock().expect("no panic").push((*seed, found));
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(worker);
        }
    });
    let mut failed = failed.into_inner().expect("no panic");
    failed.sort_by_key(|(seed, _)| *seed);
    for (seed, found) in &failed {
        println!("ZUN_SIMULATION_SEED={seed}: {}", found.problems.join("\n  "));
    }
    assert!(failed.is_empty(), "{} of {} seeds failed", failed.len(), seeds.len());
}

#[test]
fn a_seed_gives_the_same_history_each_time() {
    for seed in [3, 1_000_003] {
        let found = run(seed);
        assert_eq!(found, run(seed));
        assert!(found.requests > 10, "{found:?}");
        assert_ne!(found.fingerprint, run(seed + 1).fingerprint);
    }
}
