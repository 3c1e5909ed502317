//! `zun-standalone`: the whole of Zun in one process, for one machine.

mod args;
mod background;
mod down;
mod foreground;

use std::process::ExitCode;

use clap::Parser;
use zun_common::chain;
use zun_standalone::engine::EngineError;
use zun_standalone::service::StartError;
use zun_standalone::state::{Lock, LockError, State, StateError};

use args::{Cli, StateArgs, Verb};

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "zun-standalone needs root: it runs a Docker engine of its own. Run it as root or through sudo"
    )]
    NotRoot,
    #[error(
        "{0} is not a loopback address: whoever reaches the API of the standalone service is root here"
    )]
    NotLoopback(std::net::SocketAddr),
    #[error("the log filter cannot be used")]
    Log(#[from] zun_common::telemetry::BadFilter),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("zun-standalone does not start")]
    Start(#[from] StartError),
    #[error("the private engine failed")]
    Engine(#[from] EngineError),
    #[error("cannot {doing}")]
    System {
        doing: &'static str,
        #[source]
        cause: std::io::Error,
    },
    #[error("zun-standalone did not become ready; the end of {log}:\n{words}")]
    NotReady { log: String, words: String },
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
        say(&format!("zun-standalone does not run on {}", state.root().display()));
        return Ok(ExitCode::from(1));
    };
    let pid = holder.pid.map(|pid| format!(" as process {pid}")).unwrap_or_default();
    say(&format!("zun-standalone runs on {}{pid}", state.root().display()));
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "a program's words to the person who called it")]
fn say(words: &str) {
    eprintln!("{words}");
}
