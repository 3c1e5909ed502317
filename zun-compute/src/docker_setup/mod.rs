//! `zun-compute docker-setup`: Docker listens on a TCP port, by TLS both ways, and asks `zun-authz`; or it does
//! not listen there at all.
//!
//! ```text
//!  facts ──> plan (pure) ──> apply ──> proof
//!    │          │              └─ on failure ─> rollback
//!    │          └─ nothing differs ─> nothing is done
//!    └─ an obstacle ─> an error, nothing is changed
//! ```
//! What decides is pure: `daemon_json`, `command_line`, `plan`. What acts goes through [`Services`], a unix socket
//! and a few files.

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

/// The plugin's name, as Docker knows it by its socket.
pub(crate) const PLUGIN: &str = "zun-authz";
/// The mark of an undo that is to last. zun-docker-setup.service names it too.
pub(crate) const UNDO_MARKER: &str = "/var/lib/zun-docker-setup/undone";
/// Where certificates are where the settings say nothing.
const CERTIFICATES: &str = "/etc/zun/pki";
const PORT: u16 = 2376;

/// The host that is set up.
#[derive(Clone)]
pub struct Machine {
    /// Where files are.
    pub paths: Paths,
    /// Its units.
    pub services: Arc<dyn Services>,
    /// Docker's unix socket.
    pub engine: PathBuf,
}

/// Where files are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Docker's settings, where its command line names no others.
    pub daemon_json: PathBuf,
    /// Units and drop-ins of this host.
    pub units: PathBuf,
    /// What was there before.
    pub record: PathBuf,
    /// There where it was undone: zun-docker-setup.service sets nothing up as long as it is.
    pub undo_marker: PathBuf,
    /// Where Docker finds its plugin.
    pub plugin_socket: PathBuf,
    /// `zun-runtime`, for a Docker that takes no first size of a terminal itself.
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

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing differs, and nothing was done.
    Unchanged,
    /// Nothing differs, but zun-api had another list of authorities, or certificate: it is here now, and Docker, which
    /// was not restarted, takes it at its next start.
    CertificateUpdated(Renewal),
    /// What would be done, in words and diffs.
    DryRun(String),
    /// It is set up and proved.
    Done(Summary),
    /// It was undone.
    Undone(Undone),
}

/// What was undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undone {
    /// These files are as they were.
    pub files: Vec<PathBuf>,
    /// So many containers were made with the runtime that Docker does not know any more.
    pub sized: usize,
    /// Its program, which those that run still need.
    pub runtime: PathBuf,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The files that were written.
    pub written: Vec<PathBuf>,
    /// Docker was restarted.
    pub restarted: bool,
    /// The host has a new certificate.
    pub signed: bool,
    /// So many containers ran before.
    pub running: usize,
    /// So many of them have the same process still.
    pub kept: usize,
}

/// Fails where the host cannot be set up by this process at all.
pub fn check_process() -> Result<(), SetupError> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(SetupError::NoSystemd);
    }
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(SetupError::NotRoot) }
}

/// Shows what would be changed, and changes nothing.
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

/// Sets the host up and proves it, or leaves it as it is.
pub async fn set_up(
    machine: &Machine,
    settings: &Settings,
    listen: Option<SocketAddr>,
    bus: &Bus,
) -> Result<Outcome, SetupError> {
    let (wanted, certificate) = wanted(settings, listen)?;
    // Before anything is looked at: what another run changes meanwhile would be taken for what was there.
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
    let proved = found.record.as_ref().is_some_and(|record| record.proved);
    if plan.is_empty() && flaw.as_ref().is_none_or(Flaw::can_wait) && proved {
        return update_certificate(bus, &certificate).await.map(Prepared::Ended);
    }
    // Nothing is begun that could not be proved.
    certificates::proof_grant(bus, &wanted.host).await?;
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

/// What is set up stays, but for what zun-api has signed or trusts since. The agent does the same from time to time.
async fn update_certificate(
    bus: &Bus,
    certificate: &CertificateSettings,
) -> Result<Outcome, SetupError> {
    match certificates::ensure(bus, certificate).await? {
        Renewal::Unchanged => Ok(Outcome::Unchanged),
        Renewal::Unknown => {
            tracing::warn!(
                "zun-api did not say which authorities it trusts now: the agent asks again"
            );
            Ok(Outcome::Unchanged)
        }
        news @ (Renewal::CaList | Renewal::Certificate) => Ok(Outcome::CertificateUpdated(news)),
    }
}

/// Takes away what was set up, until somebody calls [`set_up`] again.
pub async fn undo(machine: &Machine) -> Result<Outcome, SetupError> {
    undo::undo(machine).await.map(Outcome::Undone)
}

fn wanted(
    settings: &Settings,
    listen: Option<SocketAddr>,
) -> Result<(Wanted, CertificateSettings), SetupError> {
    let console = &settings.console;
    let missing = |key, rule| SetupError::Missing { key, rule };
    let rule = "where clients dial this host, such as compute1.example.org:2376";
    let address = console.address.as_ref().ok_or(missing("console.address", rule))?;
    let rule = "the version of Docker's API that grants are for, such as 1.41";
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
