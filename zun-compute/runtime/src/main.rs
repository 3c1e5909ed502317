//! `zun-runtime`: a wrapper around `runc` that sets the terminal size before the command starts.
//!
//! Docker before 23 (API 1.42) accepts no terminal size at creation, so the command would first see a terminal of 0 by
//! 0. On such a Docker, containers run through this program. If the agent has stored a size for a container or an
//! exec, the program writes the size into the file that runc is about to read. Then it executes runc. If anything
//! fails, runc runs without a size.
//!
//! ```text
//!  zun-runtime [--sizes DIRECTORY] ARGUMENTS-OF-RUNC…      DIRECTORY/ID holds "ROWS COLUMNS"
//! ```

mod runc_call;
mod sizes;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use zun_runtime::{RUNC, SIZES};

use runc_call::RuncCall;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let named = arguments.first().is_some_and(|first| first == "--sizes") && arguments.len() >= 2;
    let named: Vec<OsString> = arguments.drain(..if named { 2 } else { 0 }).collect();
    let directory = named.get(1).map_or(Path::new(SIZES), Path::new);
    if let Some(call) = RuncCall::parse(&arguments) {
        // On failure the container runs without an initial size.
        call.write_size(directory).unwrap_or_default();
    }
    become_runc(&arguments)
}

#[expect(clippy::print_stderr, reason = "Docker shows what a runtime prints to stderr")]
fn become_runc(arguments: &[OsString]) -> ExitCode {
    let cause = Command::new(RUNC).args(arguments).exec();
    eprintln!("zun-runtime: cannot run runc: {cause}");
    ExitCode::FAILURE
}
