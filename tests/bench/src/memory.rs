//! The idle memory of each program of a cluster.

use std::path::Path;
use std::time::Duration;

use zun_tests::cluster::Cluster;

use crate::figures::{Figure, Summary};
use crate::rows::Unit;
use crate::run::Run;

const ROWS: [(&str, &str); 3] = [
    ("memory-zun-api", "zun-api"),
    ("memory-zun-compute", "zun-compute"),
    ("memory-zun-authz", "zun-authz"),
];
const SAMPLES: usize = 5;
const PAUSE: Duration = Duration::from_secs(1);

/// Measures the proportional set size of the cluster's programs.
pub fn measure(run: &Run, cluster: &Cluster) {
    let socket = cluster.engine_socket(0);
    let directory = socket.ancestors().nth(3).expect("the cluster's directory");
    for (row, program) in ROWS {
        if run.wants(row) {
            let pid = pid_of(program, directory);
            let samples: Vec<f64> = (0..run.samples(SAMPLES))
                .map(|_| {
                    run.pause(PAUSE);
                    proportional_set_size(pid)
                })
                .collect();
            run.record(row, Figure::plain(Summary::of(&samples, Unit::Mebibytes)));
        }
    }
}

/// Returns the process of this program with the directory in its arguments.
fn pid_of(program: &str, directory: &Path) -> u32 {
    let directory = directory.to_str().expect("text");
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let mut pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let found = pids.find(|pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let first = line.split('\0').next().unwrap_or_default();
        Path::new(first).file_name().is_some_and(|name| name == program) && line.contains(directory)
    });
    found.unwrap_or_else(|| panic!("{program} does not run in {directory}"))
}

/// Returns the memory of a process in MiB; pages that it shares count in part.
pub fn proportional_set_size(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("its memory");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kibibytes = line.and_then(|it| it.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kibibytes.expect("a number") / 1024.0
}
