//! Tests of the systemd units: their exposure, as `systemd-analyze security` computes it.

use std::path::Path;
use std::process::Command;

/// The highest allowed exposure of each unit, in tenths. zun-compute uses Docker's socket and signals processes.
/// zun-docker-setup runs as root and writes settings of other services.
const CEILINGS: [(&str, u32); 5] = [
    ("zun-authz", 10),
    ("zun-api", 15),
    ("zun-console", 15),
    ("zun-compute", 20),
    ("zun-docker-setup", 25),
];

fn units() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/systemd")
}

#[test]
fn no_unit_is_more_exposed_than_its_ceiling() {
    let analyze = |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).output();
    // --offline exists since systemd 250.
    let Ok(asked) = analyze(&["security", "--help"]) else { return };
    if !String::from_utf8_lossy(&asked.stdout).contains("--offline") {
        return;
    }
    for (unit, most) in CEILINGS {
        let (file, most) = (units().join(format!("{unit}.service")), format!("--threshold={most}"));
        let file = file.to_str().expect("a path");
        let output = analyze(&["security", "--offline=true", &most, file]).expect("it runs");
        let stdout = String::from_utf8_lossy(&output.stdout);
        let overall = stdout.lines().last().unwrap_or_default();
        assert!(output.status.success(), "{overall}");
    }
}

#[test]
fn every_long_running_unit_has_a_ceiling_and_a_watchdog() {
    for entry in std::fs::read_dir(units()).expect("units").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(unit) = name.strip_suffix(".service") else { continue };
        assert!(CEILINGS.iter().any(|(known, _)| *known == unit), "{unit}");
        let text = std::fs::read_to_string(entry.path()).expect("a unit");
        let stays = !text.contains("Type=oneshot");
        assert_eq!(
            text.contains("Type=notify") && text.contains("\nWatchdogSec="),
            stays,
            "{unit}"
        );
    }
}
