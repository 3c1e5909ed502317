//! The settings of a private engine, and the layout of its directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zun_common::grant::ApiVersion;
use zun_common::id::HostName;

/// The longest path of the directory, in bytes. The path of a unix socket has at most 107 bytes, and the
/// plugin's socket has the longest path here.
pub(super) const LONGEST_DIRECTORY: usize = 107 - "/run/docker/plugins/zun-authz.sock".len();

/// The settings of the private engine.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The directory of everything that belongs to the engine.
    pub directory: PathBuf,
    /// The TLS listener; without it the engine has only its unix socket.
    pub listener: Option<TlsListener>,
    /// The program `zun-runtime`, for an engine that cannot set the initial terminal size itself.
    pub runtime: Option<PathBuf>,
}

/// A TCP listener, which always has mutual TLS and the authorization plugin.
#[derive(Debug, Clone)]
pub struct TlsListener {
    /// The address.
    pub address: SocketAddr,
    /// The CA that signs the certificates of clients and of the server.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
    /// The authorization plugin.
    pub plugin: Plugin,
}

/// The settings of `zun-authz`.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The program.
    pub program: PathBuf,
    /// The host that grants must name.
    pub host: HostName,
    /// The version of the engine's API that grants permit.
    pub api_version: ApiVersion,
    /// The agent's datagram socket for session events.
    pub notify: Option<PathBuf>,
}

/// The layout of a private engine's directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below this directory.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of images, containers and volumes.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The directory of initial terminal sizes.
    pub fn sizes(&self) -> PathBuf {
        self.root.join("sizes")
    }

    /// The directory that the engine's processes see as `/run/docker`.
    pub fn run_docker(&self) -> PathBuf {
        self.root.join("run/docker")
    }

    /// The directory that the engine's processes see as `/run/containerd`.
    pub fn run_containerd(&self) -> PathBuf {
        self.root.join("run/containerd")
    }

    /// The plugin's socket, as seen from outside the namespace.
    pub fn plugin_socket(&self) -> PathBuf {
        self.root.join("run/docker/plugins/zun-authz.sock")
    }

    /// The engine's settings file.
    pub fn config(&self) -> PathBuf {
        self.root.join("daemon.json")
    }

    /// The file with dockerd's process ID.
    pub fn pidfile(&self) -> PathBuf {
        self.root.join("dockerd.pid")
    }

    /// The engine's unix socket.
    pub fn socket(&self) -> PathBuf {
        self.root.join("docker.sock")
    }

    /// The socket on which dockerd announces that it is ready.
    pub fn ready_socket(&self) -> PathBuf {
        self.root.join("ready.sock")
    }

    /// The log file of one of the engine's programs.
    pub fn log(&self, program: &str) -> PathBuf {
        self.root.join(format!("{program}.log"))
    }

    /// The file that exists if IP forwarding was off before the engine switched it on.
    pub fn forwarding_was_off(&self) -> PathBuf {
        self.root.join("forwarding-was-off")
    }

    /// The mark on this engine's bridge and packet filter rules.
    pub fn mark(&self) -> String {
        let digest = Sha256::digest(self.root.as_os_str().as_encoded_bytes());
        format!("zun-engine-{}", hex::encode(digest.get(..8).unwrap_or_default()))
    }

    /// How the names of the bridges of this engine's networks begin. They have 15 characters at most.
    pub fn network_bridges(&self) -> String {
        format!("zun{}", self.mark().chars().rev().take(5).collect::<String>())
    }
}
