//! Tests of the sample settings: they are valid as they are and with every setting enabled, and they are complete.

use std::io::Write;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use toml::Table;
use zun_common::chain;
use zun_common::settings::{SettingsError, Sources};

const NO_SUCH_KEY: &str = "no-such-key";

fn sample(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/config").join(name);
    std::fs::read_to_string(path).expect("a sample")
}

/// Returns the sample with all settings enabled: removes every `#` that is not followed by a space.
fn all_enabled(sample: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
        Some(_) | None => format!("{line}\n"),
    };
    sample.lines().map(line).collect()
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, SettingsError> {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    Sources::new(Some(file.path()), "ZUN_SAMPLE").read()
}

/// Returns the settings keys below a path, read from the error for an unknown key. Returns none if the path is a value.
fn keys<T: DeserializeOwned>(path: &[String]) -> Vec<String> {
    let mut key = path.to_vec();
    key.push(NO_SUCH_KEY.to_owned());
    let Err(refusal) = read::<T>(&format!("{} = 1", key.join("."))) else { return Vec::new() };
    let refusal = chain(&refusal);
    let unknown = format!("unknown field `{NO_SUCH_KEY}`, expected ");
    let Some((_, known)) = refusal.split_once(&unknown) else { return Vec::new() };
    let known = known.lines().next().unwrap_or_default();
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Returns all paths that end in a value.
fn values<T: DeserializeOwned>(path: &[String]) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for key in keys::<T>(path) {
        let mut below = path.to_vec();
        below.push(key);
        let deeper = values::<T>(&below);
        if deeper.is_empty() {
            all.push(below);
        } else {
            all.extend(deeper);
        }
    }
    all
}

fn has(table: &Table, path: &[String]) -> bool {
    let (last, tables) = path.split_last().expect("a path");
    let step = |table: Option<&Table>, key: &String| table?.get(key)?.as_table().cloned();
    let mut found = Some(table.clone());
    for key in tables {
        found = step(found.as_ref(), key);
    }
    found.is_some_and(|table| table.contains_key(last))
}

/// Keys that are still accepted, and that no sample shows.
const DEPRECATED: [&str; 3] = ["database.path", "workers.mailbox", "workers.questions"];

fn missing<T: DeserializeOwned>(sample: &str) -> Vec<String> {
    let table: Table = all_enabled(sample).parse().expect("TOML");
    let mut all = values::<T>(&[]);
    assert!(all.len() > 10, "too few keys: {all:?}");
    all.retain(|path| !has(&table, path) && !DEPRECATED.contains(&path.join(".").as_str()));
    all.iter().map(|path| path.join(".")).collect()
}

fn check<T: DeserializeOwned>(name: &str) {
    let sample = sample(name);
    read::<T>(&sample).unwrap_or_else(|error| panic!("{name} as it is: {}", chain(&error)));
    read::<T>(&all_enabled(&sample))
        .unwrap_or_else(|error| panic!("{name}, all settings enabled: {}", chain(&error)));
    assert_eq!(missing::<T>(&sample), [""; 0], "{name} lacks keys");
}

#[test]
fn the_sample_of_zun_api_has_every_key_and_is_valid() {
    check::<zun_api::settings::Settings>("zun-api.toml");
}

#[test]
fn the_sample_of_zun_compute_has_every_key_and_is_valid() {
    check::<zun_compute::settings::Settings>("zun-compute.toml");
}

#[test]
fn the_sample_of_zun_console_has_every_key_and_is_valid() {
    check::<zun_gate::settings::Settings>("zun-console.toml");
}

#[test]
fn a_key_missing_from_a_sample_is_found() {
    let without = sample("zun-compute.toml").replace("#pull_timeout", "# pull_timeout");
    let missing = missing::<zun_compute::settings::Settings>(&without);
    assert_eq!(missing, ["workers.pull_timeout"]);
}
