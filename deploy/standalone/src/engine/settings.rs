//! What a private engine is told, and where its things are.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;

use crate::hex::hex;

/// The longest directory: a unix socket has a name of at most 107 bytes, and the plugin's is the longest here.
pub(super) const LONGEST_DIRECTORY: usize = 107 - "/run/docker/plugins/zun-authz.sock".len();

/// How the private engine is run.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Everything of it is below this directory.
    pub directory: PathBuf,
    /// The TLS listener; without one there is only the unix socket.
    pub listener: Option<TlsListener>,
    /// `zun-runtime`, for an engine that takes no first size of a terminal itself.
    pub runtime: Option<PathBuf>,
}

/// A TCP listener in the only form in which it may exist: TLS both ways, and our plugin.
#[derive(Debug, Clone)]
pub struct TlsListener {
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority that clients and the server are signed by.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
    /// The authorization plugin.
    pub plugin: Plugin,
}

/// How `zun-authz` is run.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The program.
    pub program: PathBuf,
    /// The host that grants must name.
    pub host: HostName,
    /// The version of the engine's API that grants name.
    pub api_version: ApiVersion,
    /// The agent's datagram socket, told of sessions.
    pub notify: Option<PathBuf>,
}

/// Where the things of a private engine are.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Below this directory.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// All of it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Images, containers, volumes.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// First sizes of terminals.
    pub fn sizes(&self) -> PathBuf {
        self.root.join("sizes")
    }

    /// What the engine's processes see as `/run/docker`.
    pub fn run_docker(&self) -> PathBuf {
        self.root.join("run/docker")
    }

    /// What the engine's processes see as `/run/containerd`.
    pub fn run_containerd(&self) -> PathBuf {
        self.root.join("run/containerd")
    }

    /// The plugin's socket, seen from outside.
    pub fn plugin_socket(&self) -> PathBuf {
        self.root.join("run/docker/plugins/zun-authz.sock")
    }

    /// The engine's settings.
    pub fn config(&self) -> PathBuf {
        self.root.join("daemon.json")
    }

    /// The engine's process.
    pub fn pidfile(&self) -> PathBuf {
        self.root.join("dockerd.pid")
    }

    /// Where the engine answers.
    pub fn socket(&self) -> PathBuf {
        self.root.join("docker.sock")
    }

    /// Where the engine tells that it is ready.
    pub fn ready_socket(&self) -> PathBuf {
        self.root.join("ready.sock")
    }

    /// The log of one of the engine's programs.
    pub fn log(&self, program: &str) -> PathBuf {
        self.root.join(format!("{program}.log"))
    }

    /// Present where forwarding was off on this machine before the engine switched it on.
    pub fn forwarding_was_off(&self) -> PathBuf {
        self.root.join("forwarding-was-off")
    }

    /// Marks what this engine made in the kernel: its bridge and its packet filter rules.
    pub fn mark(&self) -> String {
        let digest = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        format!("zun-engine-{}", hex(digest.get(..8).unwrap_or_default()))
    }
}
