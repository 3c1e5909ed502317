//! `zun-runtime`: `runc`, with a terminal that has its size before the first instruction.
//!
//! Engines below API 1.42 (Docker 23) take no size at creation: the first command sees a terminal of 0 by
//! 0. But the runtime beneath them can set one. So on such an engine containers are run through this
//! program: where the agent has left a size for a container or an exec, it is written into what runc is about to
//! read; then this becomes runc. Whatever goes wrong with the size, runc runs as it would have.
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

use zun_compute::driver::docker::{RUNC, SIZES};

use runc_call::RuncCall;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let named = arguments.first().is_some_and(|first| first == "--sizes") && arguments.len() >= 2;
    let named: Vec<OsString> = arguments.drain(..if named { 2 } else { 0 }).collect();
    let directory = named.get(1).map_or(Path::new(SIZES), Path::new);
    if let Some(call) = RuncCall::of(&arguments) {
        // Without a size the container runs all the same.
        call.write_size(directory).unwrap_or_default();
    }
    become_runc(&arguments)
}

#[expect(clippy::print_stderr, reason = "the engine shows what a runtime says there")]
fn become_runc(arguments: &[OsString]) -> ExitCode {
    let cause = Command::new(RUNC).args(arguments).exec();
    eprintln!("zun-runtime cannot run runc: {cause}");
    ExitCode::FAILURE
}
