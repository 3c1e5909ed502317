//! For each container with a problem: what clients asked, what was broken, and what the logs say about it, in one file in
//! the order of time.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use zun_common::id::ContainerId;

/// Returns a time as the logs write it.
pub fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Writes `ID.log` for each container that a problem names. `lines` begin with the time; those about a container name it,
/// and those about faults belong to all.
pub fn write(directory: &Path, problems: &[String], (history, faults): (&[String], &[String])) {
    let ids: BTreeSet<ContainerId> = problems
        .iter()
        .flat_map(|words| words.split(|c: char| !c.is_ascii_hexdigit() && c != '-'))
        .filter_map(|word| word.parse().ok())
        .collect();
    let logs: Vec<(String, String)> = std::fs::read_dir(directory)
        .expect("the directory of the logs")
        .filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            let log = name.strip_suffix(".log").filter(|name| name.starts_with("zun-"))?;
            let text = std::fs::read_to_string(directory.join(&name)).ok()?;
            Some((log.to_owned(), text))
        })
        .collect();
    for id in ids {
        let id = id.to_string();
        let mut lines: Vec<String> = faults.to_vec();
        lines.extend(history.iter().filter(|line| line.contains(&id)).cloned());
        for (log, text) in &logs {
            let about = text.lines().filter(|line| line.contains(&id));
            lines.extend(about.filter_map(|line| {
                let (time, words) = line.split_once(' ')?;
                Some(format!("{time} [{log}] {words}"))
            }));
        }
        lines.sort();
        std::fs::write(directory.join(format!("{id}.log")), lines.join("\n")).expect("written");
    }
}
