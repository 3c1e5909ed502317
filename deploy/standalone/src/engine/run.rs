//! Runs short programs, and finds installed programs.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::error::EngineError;

/// The programs that the engine needs, and their Debian packages.
const NEEDED: [(&str, &str); 6] = [
    ("dockerd", "docker.io"),
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("ip", "iproute2"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
];

/// Directories to search for programs in addition to `PATH`, which often lacks the `sbin` directories.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Checks that all needed programs are installed.
pub(super) fn check_programs() -> Result<(), EngineError> {
    for (program, package) in NEEDED {
        if find(program).is_none() {
            return Err(EngineError::Missing { program, package });
        }
    }
    Ok(())
}

/// The `PATH` for the engine and its helpers.
pub(super) fn path() -> std::ffi::OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    if !path.is_empty() {
        path.push(":");
    }
    path.push(SYSTEM_PATH);
    path
}

/// Runs a program to its end and returns its output.
pub(super) fn run(program: &'static str, arguments: &[&str]) -> Result<String, EngineError> {
    let line = || format!("{program} {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path())
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|cause| EngineError::Spawn { program: program.to_owned(), cause })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(EngineError::Command { line: line(), stderr })
}

/// Returns the path of an installed program.
pub(super) fn find(program: impl AsRef<OsStr>) -> Option<PathBuf> {
    let program = program.as_ref();
    std::env::split_paths(&path())
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
}
