//! A private Docker engine: its own dockerd from the installed package, with its own data, sockets,
//! containerd and bridge, so that the machine's own Docker, images and containers are left alone.
//!
//! ```text
//!  clear leftovers → folders → bridge → zun-authz → dockerd (→ its containerd) → ready → … → stop → clear
//! ```
//! Needs root and Debian's docker.io, iproute2 and iptables; needs no systemd and no running Docker.

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

/// How long dockerd has to be ready.
const START: Duration = Duration::from_mins(1);
/// How long dockerd has to stop its containers and itself: their grace is 10 s.
const STOP: Duration = Duration::from_secs(25);
/// How often the plugin is started anew before the engine is given up.
const PLUGIN_STARTS: u32 = 10;

/// A running private engine. Dropped without [`PrivateEngine::stop`], it is killed with its containers.
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
    /// Removes what a killed one left, starts, and returns once the engine answers.
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

    /// Where it answers.
    pub fn socket(&self) -> PathBuf {
        self.layout.socket()
    }

    /// The name of its bridge.
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// Keeps the plugin up, and returns when the engine has ended although nobody asked.
    pub async fn watch(&mut self) -> EngineError {
        for _ in 0..PLUGIN_STARTS {
            let (Some(plugin), Some(listener)) = (&mut self.plugin, &self.listener) else {
                return self.daemon.ended().await;
            };
            let ended = tokio::select! {
                error = self.daemon.ended() => return error,
                error = plugin.ended() => error,
            };
            match plugin::restart(&self.layout, listener, &ended).await {
                Ok(anew) => self.plugin = Some(anew),
                Err(error) => return error,
            }
        }
        match &mut self.plugin {
            Some(plugin) => plugin.ended().await,
            None => self.daemon.ended().await,
        }
    }

    /// Stops the containers with their grace, then the engine, and removes bridge, rules and sockets.
    /// Images, containers and volumes stay in the directory.
    pub async fn stop(mut self) -> Result<(), EngineError> {
        self.daemon.terminate(STOP).await;
        if let Some(plugin) = &mut self.plugin {
            plugin.terminate(STOP).await;
        }
        self.cleared = true;
        blocking(&self.layout, cleanup::clear).await
    }

    /// The version of the engine's API that grants are made for, known before the engine runs.
    pub async fn api_version() -> Result<ApiVersion, EngineError> {
        run::check_programs()?;
        let asking = tokio::task::spawn_blocking(version::installed);
        asking.await.expect("the work neither panics nor is it aborted")
    }

    /// The program that gives terminals their first size, where an engine of this version needs one. It
    /// lies beside the plugin; without it first sizes come late, and all else works.
    pub fn runtime_for(version: ApiVersion, plugin: &Path) -> Option<PathBuf> {
        let program = plugin.with_file_name(RUNTIME_PROGRAM);
        (version < CONSOLE_SIZE_API && program.is_file()).then_some(program)
    }

    /// Kills what runs of an engine in this directory, and removes what it made outside. Data stays.
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

/// Where nobody is left to be told of an error, the log is.
fn log_failure(cleared: Result<(), EngineError>) {
    if let Err(error) = cleared {
        warn!(error = %chain(&error), "not all of the private engine was removed");
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

/// Leftovers away, folders and bridge made.
fn prepare(layout: &Layout) -> Result<String, EngineError> {
    create_folder(layout.root())?;
    cleanup::clear(layout)?;
    let plugins = layout.run_docker().join("plugins");
    for folder in [layout.data(), layout.sizes(), plugins, layout.run_containerd()] {
        create_folder(&folder)?;
    }
    // Where the engine's own are mounted over, in its namespace alone. They may stay: removing a folder
    // unmounts it in every other namespace.
    for folder in ["/run/docker", "/run/containerd"] {
        create_folder(Path::new(folder))?;
    }
    bridge::create(layout)
}

fn create_folder(path: &Path) -> Result<(), EngineError> {
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

/// Runs short programs and looks through `/proc`, off the runtime's threads.
async fn blocking<T: Send + 'static>(
    layout: &Layout,
    work: fn(&Layout) -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let layout = layout.clone();
    let doing = tokio::task::spawn_blocking(move || work(&layout));
    doing.await.expect("the work neither panics nor is it aborted")
}
