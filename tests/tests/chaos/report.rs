//! The report of a run: a table, and JSON under `target/chaos/`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::client::Counts;
use crate::judge::{Problem, Wrong};
use crate::settings::Settings;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub seed: u64,
    pub operations: usize,
    pub hosts: usize,
    pub clients: usize,
    pub postgres: bool,
    pub long_outages: bool,
    pub seconds: u64,
    pub requests: BTreeMap<&'static str, Counts>,
    pub faults: BTreeMap<String, usize>,
    /// Seconds from the end of the last fault until everything was right. None if it never was.
    pub right_after: Option<f64>,
    pub wrong: BTreeMap<Wrong, usize>,
    pub problems: BTreeSet<Problem>,
    pub fault_log: Vec<String>,
}

impl Report {
    /// Creates a report without problems.
    pub fn new(settings: &Settings, took: Duration) -> Self {
        Self {
            seed: settings.seed,
            operations: settings.operations,
            hosts: settings.hosts,
            clients: settings.clients,
            postgres: settings.postgres,
            long_outages: settings.long_outages,
            seconds: took.as_secs(),
            requests: BTreeMap::new(),
            faults: BTreeMap::new(),
            right_after: None,
            wrong: BTreeMap::new(),
            problems: BTreeSet::new(),
            fault_log: Vec::new(),
        }
    }

    /// Adds problems and counts them.
    pub fn add(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
        let count = |wrong| self.problems.iter().filter(|(kind, _)| *kind == wrong).count();
        self.wrong = Wrong::ALL.into_iter().map(|wrong| (wrong, count(wrong))).collect();
    }

    /// Returns the directory of the files of a run.
    pub fn directory(seed: u64) -> PathBuf {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
        target.join(format!("chaos/{seed}"))
    }

    /// Prints the table, and writes the JSON.
    pub fn publish(&self, history: &[String]) {
        let directory = Self::directory(self.seed);
        // What an earlier run with this seed has left.
        drop(std::fs::remove_dir_all(&directory));
        std::fs::create_dir_all(&directory).expect("a directory");
        let json = serde_json::to_string_pretty(self).expect("JSON");
        std::fs::write(directory.join("report.json"), json).expect("written");
        std::fs::write(directory.join("history.txt"), history.join("\n")).expect("written");
        println!("\nchaos: seed {}, {} s, {}", self.seed, self.seconds, directory.display());
        println!("  {:<14}{:>9}{:>9}{:>9}", "request", "accepted", "refused", "unknown");
        for (kind, Counts { accepted, refused, unknown }) in &self.requests {
            println!("  {kind:<14}{accepted:>9}{refused:>9}{unknown:>9}");
        }
        println!("  faults: {:?}", self.faults);
        for (wrong, count) in &self.wrong {
            println!("  {:<14}{count:>9}", format!("{wrong:?}"));
        }
        match self.right_after {
            Some(seconds) => println!("  right {seconds:.1} s after the last fault"),
            None => println!("  never right after the last fault"),
        }
        for (wrong, words) in &self.problems {
            println!("  {wrong:?}: {words}");
        }
    }
}
