//! The time of day of a service, which a test can set. Debian's libfaketime gives it to the program. The clock for waits
//! stays that of the machine.

use std::path::Path;
use std::process::Command;

/// Sets a clock so many seconds ahead of the machine's, or behind it. A program sees it within a second.
pub(super) fn set(clock: &Path, seconds: i32) {
    // A program may read the file at any time.
    let new = clock.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}\n")).expect("written");
    std::fs::rename(new, clock).expect("renamed");
}

/// Lets a program follow a clock.
///
/// # Panics
/// Panics if libfaketime is not installed.
pub(super) fn follow(command: &mut Command, clock: &Path) {
    let architecture = std::env::consts::ARCH;
    let library = format!("/usr/lib/{architecture}-linux-gnu/faketime/libfaketimeMT.so.1");
    assert!(Path::new(&library).exists(), "{library} is missing: run deploy/packages.sh test");
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME_TIMESTAMP_FILE", clock)
        .env("FAKETIME_CACHE_DURATION", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1");
}

/// Removes what libfaketime leaves behind if a program is killed.
pub(super) fn clean(pid: u32) {
    for file in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        // There is nothing to remove if the program ended by itself, or has no clock of its own.
        drop(std::fs::remove_file(Path::new("/dev/shm").join(file)));
    }
}
