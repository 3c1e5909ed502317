//! `zun-compute docker-setup`: lets Docker listen on a TCP port with mutual TLS and `zun-authz`, or leaves Docker as it
//! was.
//!
//! ```text
//!  facts ──> plan (pure) ──> apply ──> verify
//!    │          │              └─ on failure ─> rollback
//!    │          └─ no difference ─> done
//!    └─ conflict ─> error, nothing is changed
//! ```
//! The modules that decide are pure: `daemon_json`, `command_line` and `plan`. The others act through [`Services`],
//! Docker's unix socket and TLS listener, the plugin's socket, the bus and a few files.

mod apply;
mod certificates;
mod command_line;
mod daemon_json;
mod docker_api;
mod error;
mod facts;
mod files;
mod plan;
mod rollback;
mod services;
mod show;
#[cfg(test)]
mod tests;
mod undo;
mod undo_record;
mod unit_file;
mod units;
mod verify;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use zun_common::bus::Bus;

pub use command_line::CommandLineError;
pub use daemon_json::DaemonJsonError;
pub use error::SetupError;
pub use files::FileError;
pub use plan::PlanError;
pub use services::{ServiceError, Services, Systemd, UnitAction};
pub use undo_record::UndoRecordError;
pub use verify::VerifyError;

use crate::certificate::{self, CertificateFiles, CertificateSettings, Flaw, Renewal};
use crate::settings::Settings;
use apply::Attempt;
use plan::Wanted;
use undo_record::RecordStore;

/// The plugin's name. Docker derives it from the name of the plugin's socket.
pub(crate) const PLUGIN: &str = "zun-authz";
/// The file that marks an undo, so that the next boot does not set Docker up again. zun-docker-setup.service names it
/// too.
pub(crate) const UNDO_MARKER: &str = "/var/lib/zun-docker-setup/undone";
/// The default directory of certificates.
const CERTIFICATES: &str = "/etc/zun/pki";
const PORT: u16 = 2376;

/// The host to set up.
#[derive(Clone)]
pub struct Machine {
    /// The paths of files on the host.
    pub paths: Paths,
    /// Controls systemd units.
    pub services: Arc<dyn Services>,
    /// Docker's unix socket.
    pub engine: PathBuf,
}

/// The paths of files on the host.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Docker's settings file, unless Docker's command line names another.
    pub daemon_json: PathBuf,
    /// The directory of this host's units and drop-ins.
    pub units: PathBuf,
    /// The undo record.
    pub record: PathBuf,
    /// Exists after an undo. While it exists, zun-docker-setup.service does nothing.
    pub undo_marker: PathBuf,
    /// The plugin's socket.
    pub plugin_socket: PathBuf,
    /// The program `zun-runtime`, for a Docker that cannot set the initial terminal size itself.
    pub runtime: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            daemon_json: "/etc/docker/daemon.json".into(),
            units: "/etc/systemd/system".into(),
            record: "/var/lib/zun-docker-setup/former.json".into(),
            undo_marker: UNDO_MARKER.into(),
            plugin_socket: format!("/run/docker/plugins/{PLUGIN}.sock").into(),
            runtime: "/usr/local/bin/zun-runtime".into(),
        }
    }
}

/// The result of docker-setup. It displays as text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was already set up, and nothing was done.
    Unchanged,
    /// Everything was already set up, but zun-api had a new certificate or CA list, which is now installed. Docker was
    /// not restarted and loads it at its next start.
    CertificateUpdated(Renewal),
    /// The changes that would be made, as text and diffs.
    DryRun(String),
    /// Docker is set up and verified.
    Done(Summary),
    /// The setup was undone.
    Undone(Undone),
}

/// What an undo did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undone {
    /// The files that were restored or removed.
    pub files: Vec<PathBuf>,
    /// How many containers were created with the runtime that Docker no longer knows.
    pub sized: usize,
    /// The program of that runtime; running containers still need it.
    pub runtime: PathBuf,
}

/// What a setup did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The files that were written.
    pub written: Vec<PathBuf>,
    /// Whether Docker was restarted.
    pub restarted: bool,
    /// Whether the host got a new certificate.
    pub signed: bool,
    /// How many containers ran before.
    pub running: usize,
    /// How many of them still have the same process.
    pub kept: usize,
}

/// Checks that this process may set the host up: the host runs systemd, and the process runs as root.
pub fn check_process() -> Result<(), SetupError> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(SetupError::NoSystemd);
    }
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(SetupError::NotRoot) }
}

/// Returns what would be changed, and changes nothing.
pub async fn dry_run(
    machine: &Machine,
    settings: &Settings,
    listen: Option<SocketAddr>,
) -> Result<Outcome, SetupError> {
    let (wanted, certificate) = wanted(settings, listen)?;
    let found = facts::gather(machine, &wanted).await?;
    let plan = plan::plan(&found, &wanted)?;
    certificates::check_host(&wanted.certificates.certificate, &wanted.host)?;
    let flaw = certificate::flaw(&certificate);
    if plan.is_empty() && flaw.is_none() {
        return Ok(Outcome::Unchanged);
    }
    Ok(Outcome::DryRun(show::plan(&plan, flaw.as_ref(), &certificate)))
}

/// Sets the host up and verifies it. On failure everything is rolled back.
pub async fn set_up(
    machine: &Machine,
    settings: &Settings,
    listen: Option<SocketAddr>,
    bus: &Bus,
) -> Result<Outcome, SetupError> {
    let (wanted, certificate) = wanted(settings, listen)?;
    // Lock before reading anything: changes of a concurrent run would be recorded as the previous state.
    let store = RecordStore::lock(&machine.paths.record)?;
    let prepared = prepare(machine, (wanted, certificate), bus).await;
    let outcome = match prepared {
        Ok(Prepared::Attempt(attempt)) => attempt.run(&store).await.map(Outcome::Done),
        Ok(Prepared::Ended(outcome)) => Ok(outcome),
        Err(error) => Err(error),
    };
    let left = store.release();
    let outcome = outcome?;
    left?;
    files::remove(&machine.paths.undo_marker)?;
    Ok(outcome)
}

enum Prepared<'a> {
    Attempt(Box<Attempt<'a>>),
    Ended(Outcome),
}

async fn prepare<'a>(
    machine: &'a Machine,
    (wanted, certificate): (Wanted, CertificateSettings),
    bus: &'a Bus,
) -> Result<Prepared<'a>, SetupError> {
    let found = facts::gather(machine, &wanted).await?;
    let plan = plan::plan(&found, &wanted)?;
    certificates::check_host(&wanted.certificates.certificate, &wanted.host)?;
    let flaw = certificate::flaw(&certificate);
    let verified = found.record.as_ref().is_some_and(|record| record.verified);
    if plan.is_empty() && flaw.as_ref().is_none_or(Flaw::can_wait) && verified {
        return update_certificate(bus, &certificate).await.map(Prepared::Ended);
    }
    // Check first that zun-api can sign the probe grant: without it, the result cannot be verified.
    certificates::probe_grant(bus, &wanted.host).await?;
    Ok(Prepared::Attempt(Box::new(Attempt {
        machine,
        bus,
        found,
        plan,
        wanted,
        certificate,
        flaw,
        docker_has_new_settings: AtomicBool::new(false),
        interrupted: AtomicBool::new(false),
    })))
}

/// Installs a new certificate or CA list from zun-api on a host that is already set up. The agent does the same
/// periodically.
async fn update_certificate(
    bus: &Bus,
    certificate: &CertificateSettings,
) -> Result<Outcome, SetupError> {
    match certificates::ensure(bus, certificate).await? {
        Renewal::Unchanged => Ok(Outcome::Unchanged),
        Renewal::Unknown => {
            tracing::warn!("zun-api did not return its CA list; the agent will ask again");
            Ok(Outcome::Unchanged)
        }
        renewal @ (Renewal::CaList | Renewal::Certificate) => {
            Ok(Outcome::CertificateUpdated(renewal))
        }
    }
}

/// Restores every file as it was before the first setup. The undo lasts until [`set_up`] is called again.
pub async fn undo(machine: &Machine) -> Result<Outcome, SetupError> {
    undo::undo(machine).await.map(Outcome::Undone)
}

fn wanted(
    settings: &Settings,
    listen: Option<SocketAddr>,
) -> Result<(Wanted, CertificateSettings), SetupError> {
    let console = &settings.console;
    let missing = |key, rule| SetupError::Missing { key, rule };
    let rule =
        "the address at which clients connect to this host, such as compute1.example.org:2376";
    let address = console.address.as_ref().ok_or(missing("console.address", rule))?;
    let rule = "the version of Docker's API that grants permit, such as 1.41";
    let api_version = console.api_version.ok_or(missing("console.api_version", rule))?;
    let rule = "the host's name in the cluster";
    let Ok(host) = settings.host_name() else { return Err(missing("host", rule)) };
    let any = Ipv4Addr::UNSPECIFIED;
    let listen = listen.unwrap_or_else(|| (any, address.port().unwrap_or(PORT)).into());
    if address.port() != Some(listen.port()) {
        return Err(SetupError::Port { listen, address: address.to_string() });
    }
    let directory = console.certificates.clone().unwrap_or_else(|| CERTIFICATES.into());
    let wanted = Wanted {
        listen,
        address: address.to_string(),
        api_version,
        certificates: CertificateFiles::within(&directory),
        notify: console.notify_socket.clone(),
        host: host.clone(),
    };
    let names = console.certificate_names();
    Ok((wanted, CertificateSettings { directory, host, names }))
}
