//! The machine's line.

use std::fmt;

use chrono::Utc;
use serde::{Deserialize, Serialize};

/// Where and when the figures were taken.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    /// The model of the processor.
    pub cpu: String,
    /// The number of processors that this process may use.
    pub cores: usize,
    /// The release of the kernel.
    pub kernel: String,
    /// The version of the Docker engine.
    pub engine: String,
    /// The day, in UTC.
    pub date: String,
    /// The load average of the last minute before the run. More than about 0.5 means that other work disturbed the
    /// figures.
    pub load: f64,
}

impl Machine {
    /// Describes this machine.
    ///
    /// # Panics
    /// Panics if `/proc` is not readable.
    pub fn this() -> Self {
        let cpus = read("/proc/cpuinfo");
        let model = cpus.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, it)| it);
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
        let engine = std::env::var_os("ZUN_TEST_ENGINE_VERSION");
        Self {
            cpu: model.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            engine: engine.map_or_else(String::new, |it| it.to_string_lossy().into_owned()),
            date: Utc::now().format("%Y-%m-%d").to_string(),
            load,
        }
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"))
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cores, kernel, engine, date, load } = self;
        write!(
            out,
            "{cpu}, {cores} cores, Linux {kernel}, Docker {engine}, {date}, load average {load:.2} before the run"
        )
    }
}
