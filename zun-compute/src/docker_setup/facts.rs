//! Gathers the state of the host before anything is changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zun_runtime::RUNC;

use super::command_line::{self, CommandLine};
use super::daemon_json;
use super::docker_api::{self, Engine};
use super::error::SetupError;
use super::files::{self, FileError};
use super::plan::{Found, OLDEST, Targets, Wanted};
use super::services::Services;
use super::undo_record;
use super::units::{DOCKER_UNIT, PLUGIN_UNIT, SOCKET_UNIT};
use super::{Machine, Paths};
use crate::driver::docker::CONSOLE_SIZE_API;

/// Gathers everything that the plan depends on.
pub(super) async fn gather(machine: &Machine, wanted: &Wanted) -> Result<Found, SetupError> {
    let (services, paths) = (machine.services.as_ref(), &machine.paths);
    let (command, variables) = docker_command(services, paths).await?;
    let settings = command.settings_file().unwrap_or_else(|| paths.daemon_json.clone());
    let targets = Targets {
        // Resolve a symbolic link, so that the file behind it is replaced and the link stays.
        daemon_json: settings.canonicalize().unwrap_or(settings),
        drop_in: drop_in(paths),
        plugin_host: paths.units.join(PLUGIN_UNIT).with_extension("service.d").join("host.conf"),
        socket_unit: own_unit(services, paths, SOCKET_UNIT).await?,
        plugin_unit: own_unit(services, paths, PLUGIN_UNIT).await?,
    };
    let mut there = BTreeMap::new();
    for path in targets.all() {
        there.insert(path.clone(), files::read(path)?);
    }
    let engine = docker_api::engine(&machine.engine)
        .await
        .map_err(|cause| SetupError::EngineSilent { socket: machine.engine.clone(), cause })?;
    let record = undo_record::read(&paths.record)?;
    let runtime = needs_runtime(&engine).then(|| paths.runtime.clone());
    if let Some(program) = &runtime {
        check_runtime(program)
            .map_err(|cause| SetupError::RuntimeUnusable { program: program.clone(), cause })?;
    }
    let has_others = has_others(machine, &engine).await?;
    let found =
        Found { targets, files: there, command, variables, engine, runtime, record, has_others };
    port_is_free(&found, wanted)?;
    Ok(found)
}

/// Whether Docker has containers that are not Zun's. An engine that is too old, and will be refused, is not asked.
async fn has_others(machine: &Machine, engine: &Engine) -> Result<bool, SetupError> {
    if engine.newest < OLDEST {
        return Ok(true);
    }
    docker_api::has_other_containers(&machine.engine)
        .await
        .map_err(|cause| SetupError::EngineSilent { socket: machine.engine.clone(), cause })
}

/// Whether this Docker needs `zun-runtime`. It wraps only runc, so it is not set up if another runtime is the default.
fn needs_runtime(engine: &Engine) -> bool {
    (OLDEST..CONSOLE_SIZE_API).contains(&engine.newest) && engine.default_runtime == RUNC
}

/// Checks that only root may write the program, because Docker runs it as root.
fn check_runtime(program: &Path) -> io::Result<()> {
    let about = fs::metadata(program)?;
    let (mode, owner) = (about.mode(), about.uid());
    if !about.is_file() || mode & 0o111 == 0 {
        return Err(io::Error::other("it is not an executable file"));
    }
    if mode & 0o022 != 0 || owner != 0 {
        return Err(io::Error::other("users other than root can write to it"));
    }
    Ok(())
}

fn drop_in(paths: &Paths) -> PathBuf {
    paths.units.join(DOCKER_UNIT).with_extension("service.d").join("zun.conf")
}

/// Returns the command line of docker.service without our drop-in, and the values of its variables.
async fn docker_command(
    services: &dyn Services,
    paths: &Paths,
) -> Result<(CommandLine, Vec<(PathBuf, CommandLine)>), SetupError> {
    let ours = drop_in(paths);
    let mut unit = Vec::new();
    for path in services.files(DOCKER_UNIT).await?.into_iter().filter(|path| *path != ours) {
        let Some(kept) = files::read(&path)? else { continue };
        unit.push((path, kept.text));
    }
    let texts: Vec<String> = unit.iter().map(|(_path, text)| text.clone()).collect();
    if texts.is_empty() {
        return Err(SetupError::NoDocker);
    }
    command_line::check_drop_in_order(&unit, &ours)?;
    let command = command_line::of_unit(&texts)?;
    let mut variables = Vec::new();
    for name in command.variables() {
        let files = from_files(&texts, &name)?;
        // An environment file overrides `Environment=`.
        if files.is_empty() {
            let set = command_line::environment(&unit, &name);
            variables.extend(set.map(|(path, value)| (path, CommandLine::new(&value))));
        }
        variables.extend(files);
    }
    Ok((command, variables))
}

/// Returns the values of a variable in the unit's environment files.
fn from_files(texts: &[String], name: &str) -> Result<Vec<(PathBuf, CommandLine)>, FileError> {
    let mut found = Vec::new();
    for path in command_line::environment_files(texts) {
        let Some(kept) = files::read(&path)? else { continue };
        let value = command_line::variable(&kept.text, name);
        found.extend(value.map(|value| (path, CommandLine::new(&value))));
    }
    Ok(found)
}

/// Returns the path to write a unit to. `None` if a package has installed it elsewhere.
async fn own_unit(
    services: &dyn Services,
    paths: &Paths,
    unit: &str,
) -> Result<Option<PathBuf>, SetupError> {
    let ours = paths.units.join(unit);
    let installed = services.files(unit).await?;
    Ok(installed.first().is_none_or(|path| *path == ours).then_some(ours))
}

/// Checks that the port is free, unless Docker already listens on it.
fn port_is_free(found: &Found, wanted: &Wanted) -> Result<(), SetupError> {
    let settings = found.text(&found.targets.daemon_json);
    if daemon_json::listens(settings, &wanted.socket()) {
        return Ok(());
    }
    let listen = wanted.listen;
    TcpListener::bind(listen).map(drop).map_err(|cause| SetupError::PortTaken { listen, cause })
}

impl Targets {
    /// All paths.
    pub(super) fn all(&self) -> impl Iterator<Item = &PathBuf> {
        let Self { daemon_json, drop_in, plugin_host, socket_unit, plugin_unit } = self;
        [daemon_json, drop_in, plugin_host].into_iter().chain(socket_unit).chain(plugin_unit)
    }
}
