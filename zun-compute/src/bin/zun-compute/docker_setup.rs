//! `zun-compute docker-setup`: parses the flags and prints the result.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use zun_common::bus;
use zun_common::shutdown::Tasks;
use zun_compute::docker_setup::{self, Machine, Outcome, Paths, SetupError, Systemd};
use zun_compute::settings::Settings;

use crate::Failure;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Set Docker up to serve consoles on a TCP port, and verify that the port is safe
///
/// Configures mutual TLS with certificates of zun-api's CA, and zun-authz as Docker's authorization plugin. Keeps
/// Docker's other settings. Running containers keep running while Docker restarts. If Docker is already set up, only
/// renews the certificate or the CA list if needed. Rolls every change back if the verification fails.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun-compute docker-setup --config /etc/zun/zun-compute.toml --dry-run
  zun-compute docker-setup --config /etc/zun/zun-compute.toml
  zun-compute docker-setup --undo")]
pub(crate) struct DockerSetup {
    /// Address on which Docker listens [default: 0.0.0.0, with the port of console.address]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Print the changes without making them
    #[arg(long, conflicts_with = "undo")]
    dry_run: bool,
    /// Restore everything as it was before the first setup, and do not set Docker up at boot again until docker-setup
    /// is run by hand (needs no settings file)
    #[arg(long, conflicts_with = "listen")]
    undo: bool,
}

impl DockerSetup {
    /// Whether `--undo` is given.
    pub(crate) const fn undoes(&self) -> bool {
        self.undo
    }
}

/// Runs docker-setup. Always returns `true` on success.
pub(crate) async fn run(wanted: &DockerSetup, settings: &Settings) -> Result<bool, Failure> {
    let machine = Machine {
        paths: Paths::default(),
        services: Arc::new(Systemd),
        engine: settings.docker.socket.clone(),
    };
    docker_setup::check_process()?;
    let outcome = if wanted.undo {
        docker_setup::undo(&machine).await?
    } else if wanted.dry_run {
        docker_setup::dry_run(&machine, settings, wanted.listen).await?
    } else {
        set_up(&machine, settings, wanted.listen).await?
    };
    print(&outcome);
    Ok(true)
}

async fn set_up(
    machine: &Machine,
    settings: &Settings,
    listen: Option<SocketAddr>,
) -> Result<Outcome, Failure> {
    let tasks = Tasks::new();
    let host = settings.host_name()?;
    let bus = bus::connect(&settings.bus, host.as_str(), &tasks)?;
    let outcome: Result<Outcome, SetupError> =
        docker_setup::set_up(machine, settings, listen, &bus).await;
    bus.transport().close().await;
    tasks.finish(CLOSE_TIMEOUT).await;
    Ok(outcome?)
}

#[expect(clippy::print_stdout, reason = "the output of the command")]
fn print(outcome: &Outcome) {
    print!("{outcome}");
}
