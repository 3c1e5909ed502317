//! `zun-compute docker-setup`: flags in, words out.

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

/// Let Docker listen on a TCP port for consoles, safely, and prove it; or leave it as it is.
///
/// TLS both ways with certificates of zun-api's authority, and zun-authz as authorization plugin. Settings of
/// Docker that are there are kept. Running containers go on over Docker's restart. Where nothing differs nothing
/// is changed; where the proof fails everything is put back as it was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun-compute docker-setup --config /etc/zun/zun-compute.toml --dry-run
  zun-compute docker-setup --config /etc/zun/zun-compute.toml
  zun-compute docker-setup --undo")]
pub(crate) struct DockerSetup {
    /// Where Docker is to listen [default: 0.0.0.0, with the port of console.address].
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Show what would be changed, and change nothing.
    #[arg(long, conflicts_with = "undo")]
    dry_run: bool,
    /// Put everything back as it was before the first set-up, until this is run by hand without --undo. Works
    /// without a settings file too.
    #[arg(long, conflicts_with = "listen")]
    undo: bool,
}

impl DockerSetup {
    /// Whether it takes away.
    pub(crate) const fn undoes(&self) -> bool {
        self.undo
    }
}

/// Sets up, shows or undoes.
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

#[expect(clippy::print_stdout, reason = "the command's output, for the one who called it")]
fn print(outcome: &Outcome) {
    print!("{outcome}");
}
