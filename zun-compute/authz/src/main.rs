//! `zun-authz`: Docker's authorization plugin on a compute host. See `zun_authz`.

mod args;

use std::process::ExitCode;

use clap::Parser;
use zun_authz::{DecisionLog, Options, StatsError};
use zun_common::chain;

use args::{Args, Task};

fn main() -> ExitCode {
    let done = match Args::parse().task() {
        Task::Run(options) => run(options),
        Task::Stats(socket) => show(zun_authz::stats(&socket).as_deref().map(str::trim_end)),
        Task::Metrics(socket) => show(zun_authz::metrics(&socket).as_deref().map(str::trim_end)),
    };
    if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(options: Options) -> bool {
    let log = DecisionLog::to_stderr();
    let ran = zun_authz::run(options, &log);
    if let Err(failure) = &ran {
        log.failed(failure);
    }
    log.finish();
    ran.is_ok()
}

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the output of the program")]
fn show(counts: Result<&str, &StatsError>) -> bool {
    match counts {
        Ok(counts) => println!("{counts}"),
        Err(error) => {
            eprintln!("zun-authz: {}", chain(error));
            return false;
        }
    }
    true
}
