//! One run: which rows are wanted, and what has been measured.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::figures::{Entry, Figure};
use crate::rows::{self, Row};

/// How the names of rows begin that are measured in a long run only.
const LONG: &str = "page-1m-";

/// The run.
pub struct Run {
    /// Runs the agents, proxies and clusters of the benchmarks beside the thread that measures.
    pub runtime: Runtime,
    /// Whether the rows that take long are wanted.
    pub long: bool,
    wanted: Vec<String>,
    samples: Option<usize>,
    entries: RefCell<Vec<Entry>>,
}

impl Run {
    /// Reads the settings from the environment: `ZUN_BENCH_ROWS` (parts of names, separated by commas; default: all)
    /// and `ZUN_BENCH_SAMPLES` (a number).
    ///
    /// # Panics
    /// Panics if they are not valid.
    pub fn from_environment(long: bool) -> Self {
        let text = |name: &str| {
            let value = std::env::var_os(name).unwrap_or_default();
            OsStr::to_str(&value).expect("text").to_owned()
        };
        let wanted: Vec<String> = text("ZUN_BENCH_ROWS")
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        for part in &wanted {
            let known = rows::all().any(|row| row.name.contains(part.as_str()));
            assert!(known, "ZUN_BENCH_ROWS: `{part}` is in no row's name");
        }
        let samples = match text("ZUN_BENCH_SAMPLES").as_str() {
            "" => None,
            number => {
                let number = number.parse().ok().filter(|it| *it > 0);
                Some(number.expect("ZUN_BENCH_SAMPLES must be a number greater than 0"))
            }
        };
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        Self { runtime, long, wanted, samples, entries: RefCell::default() }
    }

    /// Returns whether the row is to be measured.
    ///
    /// # Panics
    /// Panics if there is no such row.
    pub fn wants(&self, row: &str) -> bool {
        let Row { name, .. } = rows::named(row);
        if name.starts_with(LONG) && !self.long {
            return false;
        }
        self.wanted.is_empty() || self.wanted.iter().any(|part| row.contains(part.as_str()))
    }

    /// Returns the number of samples to take, if `usual` is that of the row.
    pub fn samples(&self, usual: usize) -> usize {
        self.samples.unwrap_or(usual)
    }

    /// Lets time pass, in which the services are left alone.
    pub fn pause(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Records a row's figure, and prints it.
    pub fn record(&self, row: &str, figure: Figure) {
        let Row { what, unit, .. } = rows::named(row);
        let entry = Entry::new(rows::named(row), figure);
        let verdict = match entry.met {
            Some(true) => ", goal met",
            Some(false) => ", GOAL MISSED",
            None => "",
        };
        println!("  {row}: {} ({what}){verdict}", unit.show(entry.figure.value));
        self.entries.borrow_mut().push(entry);
    }

    /// Measures the rows whose names begin like this, if one of them is wanted. Returns whether it succeeded: a failure
    /// is printed, and the other rows are measured nevertheless.
    pub fn measure(&self, names: &[&str], measure: impl FnOnce(&Self)) -> bool {
        let ours = |row: &&Row| names.iter().any(|name| row.name.starts_with(name));
        let wanted: Vec<&str> =
            rows::all().filter(ours).map(|row| row.name).filter(|name| self.wants(name)).collect();
        if wanted.is_empty() {
            return true;
        }
        let begun = Instant::now();
        println!("{}:", wanted.join(", "));
        let done = catch_unwind(AssertUnwindSafe(|| measure(self)));
        println!("  took {:.0} s", begun.elapsed().as_secs_f64());
        if done.is_err() {
            println!("  FAILED: see above");
        }
        done.is_ok()
    }

    /// Returns what has been recorded.
    pub fn into_entries(self) -> Vec<Entry> {
        self.runtime.shutdown_timeout(Duration::from_secs(5));
        self.entries.into_inner()
    }
}

/// Takes samples of two things in turn, and changes which one is first.
pub fn interleaved(
    rounds: usize,
    mut zun: impl FnMut() -> Duration,
    mut peer: impl FnMut() -> Duration,
) -> (Vec<Duration>, Vec<Duration>) {
    // Caches are warm in all samples.
    zun();
    peer();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            ours.push(zun());
            theirs.push(peer());
        } else {
            theirs.push(peer());
            ours.push(zun());
        }
    }
    (ours, theirs)
}

/// Returns how long this takes.
pub fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}
