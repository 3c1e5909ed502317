//! Plans the changes. The plan is a pure function of the state of the host and the wanted settings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use zun_common::grant::ApiVersion;
use zun_common::id::HostName;

use super::command_line::{CommandLine, CommandLineError};
use super::daemon_json::{self, DaemonJsonError, ListenerSettings};
use super::docker_api::Engine;
use super::files::SavedFile;
use super::undo_record::UndoRecord;
use super::units::{self, PluginOptions};
use crate::certificate::CertificateFiles;

/// The oldest version of Docker's API that has every call that grants permit (Docker 20.10).
pub(super) const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 41 };

/// The state that the host's settings ask for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) host: HostName,
    pub(super) listen: SocketAddr,
    /// The address that clients dial.
    pub(super) address: String,
    pub(super) api_version: ApiVersion,
    pub(super) certificates: CertificateFiles,
    pub(super) notify: Option<PathBuf>,
}

impl Wanted {
    /// The listener, as daemon.json names it.
    pub(super) fn socket(&self) -> String {
        format!("tcp://{}", self.listen)
    }
}

/// The files to write.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    pub(super) daemon_json: PathBuf,
    pub(super) drop_in: PathBuf,
    pub(super) plugin_host: PathBuf,
    /// `None` if a package has installed the unit elsewhere.
    pub(super) socket_unit: Option<PathBuf>,
    pub(super) plugin_unit: Option<PathBuf>,
}

/// The state of the host.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) targets: Targets,
    pub(super) files: BTreeMap<PathBuf, Option<SavedFile>>,
    /// The command line of docker.service without our drop-in.
    pub(super) command: CommandLine,
    /// Variables of the command line, with the files that set them.
    pub(super) variables: Vec<(PathBuf, CommandLine)>,
    pub(super) engine: Engine,
    /// The path of `zun-runtime`, if this Docker needs it.
    pub(super) runtime: Option<PathBuf>,
    pub(super) record: Option<UndoRecord>,
    /// Whether Docker has containers that are not Zun's.
    pub(super) has_others: bool,
}

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) before: Option<String>,
    pub(super) after: String,
}

/// All changes; empty if nothing differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) daemon_json: Option<Change>,
    pub(super) drop_in: Option<Change>,
    /// The units of zun-authz.
    pub(super) plugin: Vec<Change>,
}

/// Why this host cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Our keys cannot be merged into Docker's settings.
    #[error("cannot use {path}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: DaemonJsonError,
    },
    /// The command line of docker.service conflicts with our settings.
    #[error("cannot use docker.service")]
    Command(#[from] CommandLineError),
    /// Docker is too old.
    #[error(
        "Docker supports API {0} at most, and Zun needs at least API {OLDEST} (Docker 20.10): upgrade Docker"
    )]
    DockerTooOld(ApiVersion),
    /// Docker does not support the version that grants permit.
    #[error(
        "`console.api_version` is {wanted}, but Docker supports {oldest} to {newest}: change the setting"
    )]
    ApiVersion {
        /// The setting.
        wanted: ApiVersion,
        /// The oldest version that Docker supports.
        oldest: ApiVersion,
        /// The newest version that Docker supports.
        newest: ApiVersion,
    },
    /// Docker is part of a swarm, which does not allow live-restore.
    #[error(
        "Docker is part of a swarm, and a swarm does not allow live-restore, which keeps containers running while \
         Docker restarts: leave the swarm first (docker swarm leave)"
    )]
    Swarm,
}

/// Plans the changes, or returns why the host cannot be set up.
pub(super) fn plan(found: &Found, wanted: &Wanted) -> Result<Plan, PlanError> {
    check_engine(&found.engine, wanted.api_version)?;
    found.command.check("docker.service", false)?;
    for (file, variable) in &found.variables {
        variable.check(&file.display().to_string(), true)?;
    }
    let Targets { daemon_json, drop_in, plugin_host, socket_unit, plugin_unit } = &found.targets;
    let settings = found.text(daemon_json);
    let listening = ListenerSettings {
        socket: wanted.socket(),
        files: wanted.certificates.clone(),
        command_hosts: found.command.hosts(),
        hosts_moved: found.text(drop_in).is_some(),
        active_plugins: found.engine.plugins.clone(),
        runtime: found.runtime.clone(),
        // Other users of this Docker may need that their containers reach each other.
        separate: !found.has_others
            && !commands(found).any(|command| command.has(&["--icc", "--iptables"])),
    };
    let last = found.record.as_ref().and_then(|record| record.written(daemon_json));
    let merged = daemon_json::merge(settings, &listening, last)
        .map_err(|cause| PlanError::Settings { path: daemon_json.clone(), cause })?;
    let host = units::host(&PluginOptions {
        host: &wanted.host,
        api_version: wanted.api_version,
        ca: &wanted.certificates.ca,
        notify: wanted.notify.as_deref(),
    });
    let plugin = [
        (socket_unit.as_ref(), units::SOCKET.to_owned()),
        (plugin_unit.as_ref(), units::PLUGIN.to_owned()),
        (Some(plugin_host), host),
    ];
    Ok(Plan {
        daemon_json: found.change(daemon_json, merged),
        drop_in: found.change(drop_in, units::drop_in(&found.command.without_hosts())),
        plugin: plugin.into_iter().filter_map(|(path, text)| found.change(path?, text)).collect(),
    })
}

fn commands(found: &Found) -> impl Iterator<Item = &CommandLine> {
    std::iter::once(&found.command).chain(found.variables.iter().map(|(_file, line)| line))
}

fn check_engine(engine: &Engine, wanted: ApiVersion) -> Result<(), PlanError> {
    let (oldest, newest) = (engine.oldest, engine.newest);
    if newest < OLDEST {
        return Err(PlanError::DockerTooOld(newest));
    }
    if wanted < oldest || wanted > newest {
        return Err(PlanError::ApiVersion { wanted, oldest, newest });
    }
    if engine.swarm { Err(PlanError::Swarm) } else { Ok(()) }
}

impl Found {
    /// The file as it is now.
    pub(super) fn kept(&self, path: &Path) -> Option<&SavedFile> {
        self.files.get(path).and_then(Option::as_ref)
    }

    pub(super) fn text(&self, path: &Path) -> Option<&str> {
        self.kept(path).map(|kept| kept.text.as_str())
    }

    fn change(&self, path: &Path, after: String) -> Option<Change> {
        let before = self.text(path).map(str::to_owned);
        (before.as_ref() != Some(&after)).then(|| Change { path: path.to_owned(), before, after })
    }
}

impl Plan {
    pub(super) fn changes(&self) -> impl Iterator<Item = &Change> {
        self.plugin.iter().chain(&self.drop_in).chain(&self.daemon_json)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    /// Whether Docker must be restarted. Docker reads hosts and TLS settings only at its start.
    pub(super) const fn restarts_docker(&self) -> bool {
        self.daemon_json.is_some() || self.drop_in.is_some()
    }
}
