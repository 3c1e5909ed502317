//! `zun-standalone`: all of Zun in one process on one machine.

mod args;
mod background;
mod down;
mod foreground;

use std::process::ExitCode;

use clap::Parser;
use zun_common::chain;
use zun_standalone::engine::EngineError;
use zun_standalone::service::Ended;
use zun_standalone::service::StartError;
use zun_standalone::state::{Lock, LockError, State, StateError};

use args::{Cli, StateArgs, Verb};

/// Why a subcommand failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "zun-standalone needs root, because it runs a private Docker engine: run it as root or with sudo"
    )]
    NotRoot,
    #[error(
        "{0} is not a loopback address: access to this API is equivalent to root on this machine, so use \
         --listen 127.0.0.1:PORT"
    )]
    NotLoopback(std::net::SocketAddr),
    #[error("cannot use the log filter")]
    Log(#[from] zun_common::telemetry::BadFilter),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("cannot start the standalone service")]
    Start(#[from] StartError),
    #[error("the private Docker engine failed")]
    Engine(#[from] EngineError),
    #[error("the service cannot continue")]
    Ended(#[from] Ended),
    #[error("cannot {doing}")]
    System {
        doing: &'static str,
        #[source]
        cause: std::io::Error,
    },
    #[error("zun-standalone did not become ready; the last lines of {log}:\n{log_tail}")]
    NotReady { log: String, log_tail: String },
}

impl Failure {
    fn system(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |cause| Self::System { doing, cause }
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(code) => code,
        Err(failure) => {
            say(&format!("zun-standalone: {}", chain(&failure)));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::NotRoot);
    }
    match verb {
        Verb::Run(start) => foreground::run(&start).map(|()| ExitCode::SUCCESS),
        Verb::Up(start) => background::up(&start).map(|()| ExitCode::SUCCESS),
        Verb::Down(place) => down::down(&place).map(|()| ExitCode::SUCCESS),
        Verb::Status(place) => status(&place),
    }
}

fn status(place: &StateArgs) -> Result<ExitCode, Failure> {
    let state = State::new(&place.state)?;
    let Some(holder) = Lock::holder(&state)? else {
        say(&format!("zun-standalone is not running in {}", state.root().display()));
        return Ok(ExitCode::from(1));
    };
    let pid = holder.pid.map(|pid| format!(" as process {pid}")).unwrap_or_default();
    say(&format!("zun-standalone is running in {}{pid}", state.root().display()));
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "messages for the person who runs the program")]
fn say(words: &str) {
    eprintln!("{words}");
}
