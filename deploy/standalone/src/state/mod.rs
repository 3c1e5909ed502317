//! The state directory: one instance at a time, everything below it, nothing readable by others.

mod environment;
mod lock;
mod token;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use environment::Environment;
pub use lock::{Holder, Lock, LockError};
pub use token::Token;

/// A file of the state directory could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {path}")]
pub struct StateError {
    doing: &'static str,
    path: PathBuf,
    #[source]
    cause: std::io::Error,
}

/// Names the file in an I/O error.
fn at(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StateError {
    let path = path.to_owned();
    move |cause| StateError { doing, path, cause }
}

/// Where things are.
#[derive(Debug, Clone)]
pub struct State {
    root: PathBuf,
}

impl State {
    /// Below this directory, made absolute.
    pub fn new(root: &Path) -> Result<Self, StateError> {
        let root = std::path::absolute(root).map_err(at("find", root))?;
        Ok(Self { root })
    }

    /// Makes it, for root alone.
    pub fn create(&self) -> Result<(), StateError> {
        for folder in [&self.root, &self.ca(), &self.host()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(at("create", folder))?;
        }
        Ok(())
    }

    /// Removes all of it. The lock is held meanwhile.
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

    /// The certificate authority.
    pub fn ca(&self) -> PathBuf {
        self.root.join("ca")
    }

    /// The host's certificate and key, and the agent's socket.
    pub fn host(&self) -> PathBuf {
        self.root.join("host")
    }

    /// Where zun-authz tells the agent of sessions.
    pub fn notify_socket(&self) -> PathBuf {
        self.root.join("host/notes.sock")
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join("zun.sqlite")
    }

    /// The hashed tokens.
    pub fn tokens(&self) -> PathBuf {
        self.root.join("tokens.toml")
    }

    /// The private engine.
    pub fn engine(&self) -> PathBuf {
        self.root.join("engine")
    }

    /// What a background instance logs.
    pub fn log(&self) -> PathBuf {
        self.root.join("zun-standalone.log")
    }
}
