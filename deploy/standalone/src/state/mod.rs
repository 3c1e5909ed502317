//! The state directory. One instance uses it at a time, and only root can read it.

mod environment;
mod lock;
mod token;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use environment::Environment;
pub use lock::{Holder, Lock, LockError};
pub use token::Token;

/// A file in the state directory cannot be written, read or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}")]
pub struct StateError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    cause: std::io::Error,
}

/// Adds the path to an I/O error.
fn at(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StateError {
    let path = path.to_owned();
    move |cause| StateError { doing, path, cause }
}

/// The layout of the state directory.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// Returns the layout below this directory. Converts a relative path to an absolute one.
    pub fn new(root: &Path) -> Result<Self, StateError> {
        let root = std::path::absolute(root).map_err(at("resolve", root))?;
        Ok(Self { root })
    }

    /// Creates the directories, accessible only to root.
    pub fn create(&self) -> Result<(), StateError> {
        for directory in [&self.root, &self.ca(), &self.host()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory)
                .map_err(at("create", directory))?;
        }
        Ok(())
    }

    /// Removes the directory. The caller holds the lock.
    pub fn remove(&self, _lock: &Lock) -> Result<(), StateError> {
        match std::fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(at("remove", &self.root)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The file of the keys that encrypt secrets in the database.
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets.keys")
    }

    /// The directory of the CA.
    pub fn ca(&self) -> PathBuf {
        self.root.join("ca")
    }

    /// The directory of the host's certificate and key, and of the agent's socket.
    pub fn host(&self) -> PathBuf {
        self.root.join("host")
    }

    /// The agent's own state.
    pub fn agent(&self) -> PathBuf {
        self.root.join("agent")
    }

    /// The agent's datagram socket for session events.
    pub fn notify_socket(&self) -> PathBuf {
        self.root.join("host/notes.sock")
    }

    /// The console gate's control socket.
    pub fn gate_socket(&self) -> PathBuf {
        self.root.join("host/gate.sock")
    }

    /// The socket at which the console gate stores its descriptors.
    pub fn gate_store(&self) -> PathBuf {
        self.root.join("host/gate-store.sock")
    }

    /// The console gate's directory, with its recordings.
    pub fn gate(&self) -> PathBuf {
        self.root.join("host/gate")
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.root.join("zun.sqlite")
    }

    /// The file with the hash of the admin token.
    pub fn tokens(&self) -> PathBuf {
        self.root.join("tokens.toml")
    }

    /// The directory of the private engine.
    pub fn engine(&self) -> PathBuf {
        self.root.join("engine")
    }

    /// The log file of a background instance.
    pub fn log(&self) -> PathBuf {
        self.root.join("zun-standalone.log")
    }
}
