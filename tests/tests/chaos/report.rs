//! The report of a run: a table, and JSON under `target/chaos/`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write as _;
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
    pub apis: usize,
    pub brokers: usize,
    pub postgres: bool,
    pub is_long: bool,
    pub seconds: u64,
    pub requests: BTreeMap<&'static str, Counts>,
    pub faults: BTreeMap<String, usize>,
    /// Seconds from the end of the last fault until everything was right. None if it never was.
    pub right_after: Option<f64>,
    pub wrong: BTreeMap<Wrong, usize>,
    pub problems: BTreeSet<Problem>,
    pub fault_log: Vec<String>,
    /// How often a host was recovering after a restore of the database.
    pub recoveries: usize,
}

impl Report {
    /// Creates a report without problems.
    pub fn new(settings: &Settings, took: Duration) -> Self {
        Self {
            seed: settings.seed,
            operations: settings.operations,
            hosts: settings.hosts,
            clients: settings.clients,
            apis: settings.apis,
            brokers: settings.brokers,
            postgres: settings.postgres,
            is_long: settings.is_long,
            seconds: took.as_secs(),
            requests: BTreeMap::new(),
            faults: BTreeMap::new(),
            right_after: None,
            wrong: BTreeMap::new(),
            problems: BTreeSet::new(),
            fault_log: Vec::new(),
            recoveries: 0,
        }
    }

    /// Adds problems and counts them.
    pub fn add(&mut self, problems: impl IntoIterator<Item = Problem>) {
        self.problems.extend(problems);
        let count = |wrong| self.problems.iter().filter(|(kind, _)| *kind == wrong).count();
        self.wrong = Wrong::ALL.into_iter().map(|wrong| (wrong, count(wrong))).collect();
    }

    /// Returns the directory of the files of a run.
    pub fn directory(&self) -> PathBuf {
        let Self { seed, brokers, .. } = self;
        all_runs().join(format!("{seed}-{}-{brokers}", self.database()))
    }

    const fn database(&self) -> &'static str {
        if self.postgres { "postgres" } else { "sqlite" }
    }

    /// Adds one line about the run to those of other runs.
    fn summarize(&self) -> std::io::Result<()> {
        let done = |kind| self.requests.get(kind).map_or(0, |counts: &Counts| counts.accepted);
        let kinds = ["create", "delete", "start", "stop", "exec"];
        let done: Vec<String> = kinds.iter().map(|kind| format!("{kind} {}", done(kind))).collect();
        let wrong: Vec<String> =
            self.wrong.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
        let right = self
            .right_after
            .map_or("never right".to_owned(), |time| format!("right after {time:.1} s"));
        let Self { seed, brokers, seconds, faults, recoveries, .. } = self;
        let line = format!(
            "seed {seed}, {}, {} zun-api, {brokers} RabbitMQ, {seconds} s, {} faults, {recoveries} recoveries; {}; {}; {right}",
            self.database(),
            self.apis,
            faults.values().sum::<usize>(),
            done.join(", "),
            wrong.join(", ")
        );
        let mut file =
            File::options().create(true).append(true).open(all_runs().join("summary.txt"))?;
        writeln!(file, "{line}")
    }

    /// Prints the table, and writes the JSON.
    pub fn publish(&self, history: &[String]) {
        let directory = self.directory();
        // What an earlier run with this seed has left.
        drop(std::fs::remove_dir_all(&directory));
        std::fs::create_dir_all(&directory).expect("a directory");
        let json = serde_json::to_string_pretty(self).expect("JSON");
        std::fs::write(directory.join("report.json"), json).expect("written");
        std::fs::write(directory.join("history.txt"), history.join("\n")).expect("written");
        self.summarize().expect("written");
        println!("\nchaos: seed {}, {} s, {}", self.seed, self.seconds, directory.display());
        println!(
            "  {}, {} zun-api, {} RabbitMQ, {} hosts",
            self.database(),
            self.apis,
            self.brokers,
            self.hosts
        );
        println!("  {:<14}{:>9}{:>9}{:>9}", "request", "accepted", "refused", "unknown");
        for (kind, Counts { accepted, refused, unknown }) in &self.requests {
            println!("  {kind:<14}{accepted:>9}{refused:>9}{unknown:>9}");
        }
        println!("  faults: {:?}, {} hosts recovered", self.faults, self.recoveries);
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

/// The directory of the files of all runs.
fn all_runs() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory");
    target.join("chaos")
}
