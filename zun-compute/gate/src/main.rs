//! `zun-console`: the console gate of a compute host. This file handles the command line and the exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::Builder;
use zun_common::chain;
use zun_common::settings::SettingsError;
use zun_common::telemetry::{self, BadFilter};
use zun_gate::control::metrics;
use zun_gate::run::{self, Handover};
use zun_gate::settings::{NoHostName, Settings};

/// Console gate of a Zun compute host
///
/// Holds the streams of containers and execs, so that sessions outlive their connections. Needs access to Docker's unix
/// socket, but not root. Environment variables override keys of the settings file, such as `ZUN_CONSOLE__LISTEN` for
/// `listen`.
#[derive(Debug, Parser)]
#[command(name = "zun-console", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option")]
struct Arguments {
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the settings and exit
    #[arg(long)]
    check_config: bool,
    /// Print the metrics of the running zun-console of this host, and exit
    #[arg(long, conflicts_with = "check_config")]
    metrics: bool,
    /// Stop when the parent process closes the pipe on stdin
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
}

/// Why zun-console failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot use the settings")]
    Settings(#[from] SettingsError),
    #[error("cannot use the settings")]
    Host(#[from] NoHostName),
    #[error("cannot set up logging")]
    Log(#[from] BadFilter),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("there are no metrics without a control socket: set `control_socket` in the settings")]
    NoControlSocket,
    #[error("cannot ask the running zun-console for its metrics at {}", socket.display())]
    Metrics {
        socket: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error(transparent)]
    Gate(#[from] run::Failure),
}

fn main() -> ExitCode {
    match begin(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print_error(&failure);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be set up yet")]
fn print_error(failure: &Failure) {
    eprintln!("zun-console: {}", chain(failure));
}

fn begin(arguments: &Arguments) -> Result<(), Failure> {
    let handover = Handover::from_env()?;
    let settings = Settings::load(arguments.config.as_deref())?;
    if arguments.metrics {
        return print_metrics(&settings);
    }
    settings.host_name()?;
    telemetry::init(&settings.log)?;
    if arguments.check_config {
        return Ok(());
    }
    let runtime = Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    Ok(runtime.block_on(run::run(&settings, handover, arguments.until_stdin_ends))?)
}

#[expect(clippy::print_stdout, reason = "it is what the caller asked for")]
fn print_metrics(settings: &Settings) -> Result<(), Failure> {
    let socket = settings.control_socket.clone().ok_or(Failure::NoControlSocket)?;
    let metrics = metrics(&socket).map_err(|cause| Failure::Metrics { socket, cause })?;
    print!("{metrics}");
    Ok(())
}
