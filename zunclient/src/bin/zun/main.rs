//! The `zun` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    zunclient::cmd::main(&arguments)
}
