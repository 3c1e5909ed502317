//! The zun-api service.

mod ca;
mod database;
mod host;
mod secrets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use zun_api::settings::Settings;
use zun_api::{Service, check};
use zun_common::notify::{self, ServiceManager};
use zun_common::settings::Sources;
use zun_common::shutdown::{self, Tasks};
use zun_common::{bus, chain, telemetry};

/// Serve the REST API of Zun, schedule containers, and sign console grants
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Settings file; environment variables such as `ZUN_API__HTTP__LISTEN` override its keys
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Check the settings and exit
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Manage the CA that signs console grants and host certificates
    #[command(subcommand)]
    Ca(ca::Command),
    /// Manage the database
    #[command(subcommand)]
    Database(database::Command),
    /// Manage the enrolled hosts, which get server certificates
    #[command(subcommand)]
    Host(host::Command),
    /// Manage the keys that encrypt secrets in the database
    #[command(subcommand)]
    Secrets(secrets::Command),
}

/// The directory of the CA.
#[derive(Debug, clap::Args)]
struct CaDirectory {
    /// Directory of the CA [default: `console.ca_directory` from --config]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

impl CaDirectory {
    fn directory(&self, config: Option<&Path>) -> Result<PathBuf, Failure> {
        if let Some(directory) = &self.directory {
            return Ok(directory.clone());
        }
        let settings: Settings = Sources::new(config, "ZUN_API").read()?;
        let missing = "no CA directory given: use --directory, or set console.ca_directory in the file for --config";
        Ok(settings.console.ca_directory.ok_or(missing)?)
    }
}

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        Some(Command::Ca(command)) => ca::run(command, arguments.config.as_deref()),
        Some(Command::Database(command)) => database::run(command, arguments.config.as_deref()),
        Some(Command::Host(command)) => host::run(command, arguments.config.as_deref()),
        Some(Command::Secrets(command)) => secrets::run(command, arguments.config.as_deref()),
        None => serve(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_line(&format!("zun-api: {}", chain(error.as_ref())));
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let settings: Settings = Sources::new(arguments.config.as_deref(), "ZUN_API").read()?;
    if arguments.check_config {
        check(&settings)?;
        print_line("the settings are valid");
        return Ok(());
    }
    telemetry::init(&settings.log)?;
    // actix serves requests on its own threads. This one runs the bus and the reports.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build()?;
    runtime.block_on(run(settings))
}

async fn run(settings: Settings) -> Result<(), Failure> {
    let tasks = Tasks::new();
    let bus_tasks = Tasks::new();
    let bus = bus::connect(&settings.bus, "zun-api", &bus_tasks)?;
    let service = Service::start(settings, bus.clone(), &tasks).await?;
    if let Some(manager) = ServiceManager::from_env() {
        tasks.spawn(service.health_monitor().run(manager, tasks.clone()));
    }
    shutdown::signal().await?;
    tracing::info!("shutting down");
    notify::stopping();
    service.stop().await;
    bus.transport().close().await;
    tasks.finish(Duration::from_secs(1)).await;
    bus_tasks.finish(Duration::from_secs(5)).await;
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "commands and startup errors write to the terminal, not to the log"
)]
fn print_line(words: &str) {
    eprintln!("{words}");
}
