//! What has to be changed: pure, from what was found and what is wanted.

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

/// The oldest API that has all that grants are good for (Docker 20.10).
pub(super) const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 41 };

/// What the host's settings ask for.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) host: HostName,
    pub(super) listen: SocketAddr,
    /// What clients dial.
    pub(super) address: String,
    pub(super) api_version: ApiVersion,
    pub(super) certificates: CertificateFiles,
    pub(super) notify: Option<PathBuf>,
}

impl Wanted {
    /// The listener, as Docker's settings name it.
    pub(super) fn socket(&self) -> String {
        format!("tcp://{}", self.listen)
    }
}

/// The files that are set up.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    pub(super) daemon_json: PathBuf,
    pub(super) drop_in: PathBuf,
    pub(super) plugin_host: PathBuf,
    /// Not where they are installed elsewhere already.
    pub(super) socket_unit: Option<PathBuf>,
    pub(super) plugin_unit: Option<PathBuf>,
}

/// What was found on the host.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) targets: Targets,
    pub(super) files: BTreeMap<PathBuf, Option<SavedFile>>,
    /// docker.service's, as it is without us.
    pub(super) command: CommandLine,
    /// Variables of it, by the file that they come from.
    pub(super) variables: Vec<(PathBuf, CommandLine)>,
    pub(super) engine: Engine,
    /// `zun-runtime`, where this engine needs it.
    pub(super) runtime: Option<PathBuf>,
    pub(super) record: Option<UndoRecord>,
}

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) path: PathBuf,
    pub(super) before: Option<String>,
    pub(super) after: String,
}

/// All that has to be changed; empty where nothing differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) daemon_json: Option<Change>,
    pub(super) drop_in: Option<Change>,
    /// Units of the plugin.
    pub(super) plugin: Vec<Change>,
}

/// Why it cannot be set up here.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Docker's settings.
    #[error("{path} cannot be used")]
    Settings {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: DaemonJsonError,
    },
    /// The way that Docker is started.
    #[error("docker.service cannot be used")]
    Command(#[from] CommandLineError),
    /// An old Docker.
    #[error("Docker speaks API {0} at most; at least {OLDEST} (Docker 20.10) is needed")]
    DockerTooOld(ApiVersion),
    /// Grants for a version that Docker does not speak.
    #[error("`console.api_version` is {wanted}, and Docker speaks {oldest} to {newest}")]
    ApiVersion {
        /// As set.
        wanted: ApiVersion,
        /// The oldest that it speaks.
        oldest: ApiVersion,
        /// The newest that it speaks.
        newest: ApiVersion,
    },
    /// live-restore and a swarm exclude each other.
    #[error(
        "Docker is part of a swarm, in which containers cannot outlive its restart (live-restore)"
    )]
    Swarm,
}

/// Decides.
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
    };
    let last = found.record.as_ref().and_then(|record| record.written(daemon_json));
    let merged = daemon_json::merge(settings, &listening, last)
        .map_err(|cause| PlanError::Settings { path: daemon_json.clone(), cause })?;
    let host = units::host(&PluginOptions {
        host: &wanted.host,
        api_version: wanted.api_version,
        authority: &wanted.certificates.ca,
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
    /// A file as it is.
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

    /// Docker reads hosts and TLS at its start alone.
    pub(super) const fn restarts_docker(&self) -> bool {
        self.daemon_json.is_some() || self.drop_in.is_some()
    }
}
