//! A private Docker engine: a separate dockerd of the installed package with its own data, sockets, containerd and
//! bridge. It does not touch the machine's own Docker.
//!
//! ```text
//!  clean up → create directories → bridge → zun-authz → dockerd (→ its containerd) → ready → … → stop → clean up
//! ```
//! It needs root and the Debian packages docker.io, iproute2 and iptables. It needs no systemd and no running Docker.

mod bridge;
mod cleanup;
mod config;
mod error;
mod network;
mod plugin;
mod process;
mod ready;
mod run;
mod settings;
mod version;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};
use zun_common::chain;
use zun_common::grant::ApiVersion;
use zun_compute::driver::docker::{CONSOLE_SIZE_API, RUNTIME_PROGRAM};

pub use error::EngineError;
pub use settings::{EngineSettings, Layout, Plugin, TlsListener};

use error::at;
use process::Process;

/// How long dockerd may take to become ready.
const START: Duration = Duration::from_mins(1);
/// How long dockerd may take to stop. Its containers have a grace period of 10 s.
const STOP: Duration = Duration::from_secs(25);
/// How many times to restart the plugin before the engine counts as failed.
const MAX_PLUGIN_RESTARTS: u32 = 10;

/// A running private engine. Dropping it without [`PrivateEngine::stop`] kills it and its containers.
#[derive(Debug)]
pub struct PrivateEngine {
    layout: Layout,
    listener: Option<TlsListener>,
    daemon: Process,
    plugin: Option<Process>,
    bridge: String,
    cleared: bool,
}

impl PrivateEngine {
    /// Cleans up after a killed engine, starts the engine, and waits until it answers.
    pub async fn start(settings: &EngineSettings) -> Result<Self, EngineError> {
        check(settings)?;
        let layout = Layout::new(&settings.directory);
        let bridge = blocking(&layout, prepare).await?;
        match start_processes(settings, &layout, &bridge).await {
            Ok((plugin, daemon)) => {
                info!("the private engine is ready on {}", layout.socket().display());
                let listener = settings.listener.clone();
                Ok(Self { layout, listener, daemon, plugin, bridge, cleared: false })
            }
            Err(error) => {
                log_failure(blocking(&layout, cleanup::clear).await);
                Err(error)
            }
        }
    }

    /// The engine's unix socket.
    pub fn socket(&self) -> PathBuf {
        self.layout.socket()
    }

    /// How the names of the bridges of networks must begin, so that the engine's rules let their containers out.
    pub fn network_bridges(&self) -> String {
        self.layout.network_bridges()
    }

    /// The name of the engine's bridge.
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// Restarts the plugin when it exits. Returns when the engine has failed.
    pub async fn watch(&mut self) -> EngineError {
        for _ in 0..MAX_PLUGIN_RESTARTS {
            let (Some(plugin), Some(listener)) = (&mut self.plugin, &self.listener) else {
                return self.daemon.ended().await;
            };
            let ended = tokio::select! {
                error = self.daemon.ended() => return error,
                error = plugin.ended() => error,
            };
            match plugin::restart(&self.layout, listener, &ended).await {
                Ok(restarted) => self.plugin = Some(restarted),
                Err(error) => return error,
            }
        }
        match &mut self.plugin {
            Some(plugin) => plugin.ended().await,
            None => self.daemon.ended().await,
        }
    }

    /// Starts dockerd again after it was killed. It finds its data and the containers that are still running.
    pub async fn start_again(&mut self) -> Result<(), EngineError> {
        self.daemon.terminate(STOP).await;
        cleanup::remove_daemon_files(&self.layout)?;
        self.daemon = ready::start(&self.layout, START).await?;
        Ok(())
    }

    /// Stops the containers with their grace period, then the engine, and removes bridge, rules and sockets. Images,
    /// containers and volumes stay in the directory.
    pub async fn stop(mut self) -> Result<(), EngineError> {
        self.daemon.terminate(STOP).await;
        if let Some(plugin) = &mut self.plugin {
            plugin.terminate(STOP).await;
        }
        self.cleared = true;
        blocking(&self.layout, cleanup::clear).await
    }

    /// Returns the version of the engine's API that grants permit. It is known before the engine runs.
    pub async fn api_version() -> Result<ApiVersion, EngineError> {
        run::check_programs()?;
        let asking = tokio::task::spawn_blocking(version::installed);
        asking.await.expect("the work must not panic")
    }

    /// Returns the program that sets the initial terminal size, if an engine of this version needs it. The program must
    /// be in the plugin's directory. Without it a command may start before its terminal has a size.
    pub fn runtime_for(version: ApiVersion, plugin: &Path) -> Option<PathBuf> {
        let program = plugin.with_file_name(RUNTIME_PROGRAM);
        (version < CONSOLE_SIZE_API && program.is_file()).then_some(program)
    }

    /// Kills an engine that runs in this directory, and removes what it created outside. Data stays.
    pub fn clear(directory: &Path) -> Result<(), EngineError> {
        cleanup::clear(&Layout::new(directory))
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        if !self.cleared {
            log_failure(cleanup::clear(&self.layout));
        }
    }
}

/// Logs a failed cleanup that no caller can handle.
fn log_failure(cleared: Result<(), EngineError>) {
    if let Err(error) = cleared {
        warn!(error = %chain(&error), "cannot clean up completely after the private engine");
    }
}

fn check(settings: &EngineSettings) -> Result<(), EngineError> {
    if !rustix::process::geteuid().is_root() {
        return Err(EngineError::NotRoot);
    }
    run::check_programs()?;
    let directory = &settings.directory;
    if directory.as_os_str().len() > settings::LONGEST_DIRECTORY {
        return Err(EngineError::TooLong { directory: directory.clone() });
    }
    Ok(())
}

/// Cleans up, and creates the directories and the bridge.
fn prepare(layout: &Layout) -> Result<String, EngineError> {
    create_directory(layout.root())?;
    cleanup::clear(layout)?;
    let plugins = layout.run_docker().join("plugins");
    for directory in [layout.data(), layout.sizes(), plugins, layout.run_containerd()] {
        create_directory(&directory)?;
    }
    // The mount points for the engine's own directories in its mount namespace. They are never removed, because
    // removing a directory unmounts it in all other namespaces.
    for directory in ["/run/docker", "/run/containerd"] {
        create_directory(Path::new(directory))?;
    }
    bridge::create(layout)
}

fn create_directory(path: &Path) -> Result<(), EngineError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(at("create", path))
}

async fn start_processes(
    settings: &EngineSettings,
    layout: &Layout,
    bridge: &str,
) -> Result<(Option<Process>, Process), EngineError> {
    config::write(layout, bridge, settings)?;
    let plugin = match &settings.listener {
        Some(listener) => Some(plugin::start(layout, &listener.plugin, &listener.ca).await?),
        None => None,
    };
    let daemon = ready::start(layout, START).await?;
    Ok((plugin, daemon))
}

/// Runs blocking work outside the runtime's threads.
async fn blocking<T: Send + 'static>(
    layout: &Layout,
    work: fn(&Layout) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let layout = layout.clone();
    let doing = tokio::task::spawn_blocking(move || work(&layout));
    doing.await.expect("the work must not panic")
}
