//! `zun-compute`: the agent of a compute host. This file handles settings, signals and the exit code.

mod docker_setup;

use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;
use zun_common::bus::{self, ConnectError};
use zun_common::chain;
use zun_common::id::HostName;
use zun_common::notify::{self, ServiceManager};
use zun_common::shutdown::{self, Tasks};
use zun_common::telemetry::{self, BadFilter};
use zun_compute::certificate::{self, CertificateError, CertificateSettings};
use zun_compute::docker_setup::SetupError;
use zun_compute::driver::DriverError;
use zun_compute::driver::docker::DockerDriver;
use zun_compute::health;
use zun_compute::settings::{LoadError, Settings};
use zun_compute::{Agent, LockError, StartError};

use docker_setup::DockerSetup;

/// The time limit for background tasks at shutdown.
const TASK_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause after a failed certificate request.
const CERTIFICATE_RETRY: Duration = Duration::from_secs(5);
/// The time between two checks of a valid certificate.
const CHECK_INTERVAL: Duration = Duration::from_hours(6);

/// Agent of a Zun compute host
///
/// Environment variables override keys of the settings file, such as `ZUN_COMPUTE__BUS__URL` for `bus.url`.
#[derive(Debug, Parser)]
#[command(name = "zun-compute", version)]
struct Arguments {
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Check the settings and exit
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    DockerSetup(DockerSetup),
}

/// Why zun-compute failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot use the settings")]
    Settings(#[from] LoadError),
    #[error("cannot set up logging")]
    Log(#[from] BadFilter),
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
    #[error("cannot use Docker")]
    Engine(#[from] DriverError),
    #[error("cannot connect to the bus")]
    Bus(#[from] ConnectError),
    #[error("cannot start the agent")]
    Start(#[from] StartError),
    #[error(transparent)]
    Agent(Arc<LockError>),
    #[error(transparent)]
    Setup(#[from] SetupError),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match begin(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            print_error(&failure);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be set up yet")]
fn print_error(failure: &Failure) {
    eprintln!("zun-compute: {}", chain(failure));
}

fn begin(arguments: &Arguments) -> Result<bool, Failure> {
    let settings = match (Settings::load(arguments.config.as_deref()), &arguments.verb) {
        (Ok(settings), _) => settings,
        // An undo needs only Docker's socket, and must work even if the settings file is broken.
        (Err(error), Some(Verb::DockerSetup(wanted))) if wanted.undoes() => {
            print_error(&error.into());
            Settings::default()
        }
        (Err(error), _) => return Err(error.into()),
    };
    telemetry::init(&settings.log)?;
    if arguments.check_config {
        return Ok(true);
    }
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    match &arguments.verb {
        Some(Verb::DockerSetup(wanted)) => runtime.block_on(docker_setup::run(wanted, &settings)),
        None => runtime.block_on(run(settings)),
    }
}

/// Runs the agent until a signal arrives. Returns whether all operations and tasks ended in time.
async fn run(settings: Settings) -> Result<bool, Failure> {
    let tasks = Tasks::new();
    let driver = Arc::new(DockerDriver::connect(&settings.docker.socket)?);
    let host = settings.host_name()?;
    let bus = bus::connect(&settings.bus, host.as_str(), &tasks)?;
    if let Some(directory) = &settings.console.certificates {
        let wanted = CertificateSettings {
            directory: directory.clone(),
            host: host.clone(),
            names: settings.console.certificate_names(),
        };
        let (bus, own) = (bus.clone(), tasks.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = own.cancelled() => {}
                () = keep_certificate(&bus, &wanted) => {}
            }
        });
    }
    let every = Duration::from_secs(settings.heartbeat.interval.into());
    let mut signal = pin!(shutdown::signal());
    let agent = tokio::select! {
        biased;
        ended = &mut signal => return ended.map(|()| true).map_err(Failure::Runtime),
        agent = Agent::start(settings, bus.clone(), driver, &tasks) => agent?,
    };
    if let Some(manager) = ServiceManager::from_env() {
        tasks.spawn(health::report_to(agent.health(), every, manager, tasks.clone()));
    }
    let failure = tokio::select! {
        ended = signal => ended.map(|()| None).map_err(Failure::Runtime)?,
        failure = agent.failed() => Some(failure),
    };
    notify::stopping();
    tracing::info!(host.name = %host, "shutting down");
    let drained = agent.stop().await;
    bus.transport().close().await;
    let ended = tasks.finish(TASK_TIMEOUT).await;
    match failure {
        Some(failure) => Err(Failure::Agent(failure)),
        None => Ok(drained && ended),
    }
}

/// Requests the host's certificate until zun-api signs it, and then checks it periodically, because certificates expire
/// and CAs are rotated. Clients cannot open consoles on a host without a certificate.
async fn keep_certificate(bus: &bus::Bus, wanted: &CertificateSettings) {
    loop {
        let next = match certificate::ensure(bus, wanted).await {
            Ok(_files) => CHECK_INTERVAL,
            Err(error) => {
                warn(&wanted.host, &error);
                CERTIFICATE_RETRY
            }
        };
        tokio::time::sleep(next).await;
    }
}

fn warn(host: &HostName, error: &CertificateError) {
    let seconds = CERTIFICATE_RETRY.as_secs();
    tracing::warn!(
        host.name = %host,
        error = %chain(error),
        "cannot renew the certificate of host {host}; trying again in {seconds} s"
    );
}
