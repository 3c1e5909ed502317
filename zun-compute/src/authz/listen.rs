//! The plugin's socket: handed over by systemd, or made here for root alone.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::fs::Mode;
use tokio::net::UnixListener;

/// No socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// No socket was named or handed over.
    #[error("name a socket with --socket, or start by systemd socket activation")]
    Nowhere,
    /// Another kind of socket was handed over.
    #[error("systemd handed over something else than one unix stream socket")]
    Activation(#[source] io::Error),
    /// Another process listens there.
    #[error("`{}` is in use by another process", .0.display())]
    InUse(PathBuf),
    /// The path is taken by something else.
    #[error("`{}` is there and is no socket", .0.display())]
    NotASocket(PathBuf),
    /// It cannot be made.
    #[error("cannot make socket `{}`", .path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It cannot be listened on.
    #[error("the socket cannot be used")]
    Unusable(#[source] io::Error),
}

/// A socket that is taken away at the end if it was made here and is still the same.
pub(super) struct Listener {
    socket: UnixListener,
    made: Option<Made>,
}

struct Made {
    path: PathBuf,
    inode: u64,
}

impl Listener {
    /// Takes systemd's socket where there is one, else makes one.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, ListenError> {
        let activated =
            ListenFd::from_env().take_unix_listener(0).map_err(ListenError::Activation)?;
        let (listener, made) = match (activated, path) {
            (Some(listener), _) => (listener, None),
            (None, Some(path)) => {
                let (listener, made) = make(path)?;
                (listener, Some(made))
            }
            (None, None) => return Err(ListenError::Nowhere),
        };
        listener.set_nonblocking(true).map_err(ListenError::Unusable)?;
        let socket = UnixListener::from_std(listener).map_err(ListenError::Unusable)?;
        Ok(Self { socket, made })
    }

    pub(super) const fn socket(&self) -> &UnixListener {
        &self.socket
    }

    /// For the log.
    pub(super) fn name(&self) -> String {
        match &self.made {
            Some(made) => made.path.display().to_string(),
            None => "systemd".to_owned(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some(made) = &self.made else { return };
        // A successor may have replaced it.
        if fs::symlink_metadata(&made.path).is_ok_and(|file| file.ino() == made.inode) {
            drop(fs::remove_file(&made.path));
        }
    }
}

fn make(path: &Path) -> Result<(StdListener, Made), ListenError> {
    let bind = |cause| ListenError::Bind { path: path.to_path_buf(), cause };
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(bind)?;
    }
    clear(path)?;
    // No moment in which others could connect. Nothing else runs yet that makes files.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = StdListener::bind(path);
    rustix::process::umask(before);
    let listener = bound.map_err(bind)?;
    let inode = fs::symlink_metadata(path).map_err(bind)?.ino();
    Ok((listener, Made { path: path.to_path_buf(), inode }))
}

/// Takes away a socket that nobody listens on.
fn clear(path: &Path) -> Result<(), ListenError> {
    let bind = |cause| ListenError::Bind { path: path.to_path_buf(), cause };
    match fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(bind(cause)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(ListenError::NotASocket(path.to_path_buf()));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(bind)
        }
        Err(cause) => Err(bind(cause)),
        Ok(_) => Err(ListenError::InUse(path.to_path_buf())),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn the_socket_is_for_its_owner_alone_and_goes_with_the_listener() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("below/plugin.sock");
        let listener = Listener::open(Some(&path)).expect("a listener");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_a_live_one_and_a_file_are_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("plugin.sock");
        drop(StdListener::bind(&path).expect("a socket"));
        assert!(path.exists());
        let listener = Listener::open(Some(&path)).expect("a listener");
        assert!(matches!(Listener::open(Some(&path)), Err(ListenError::InUse(_))));
        drop(listener);
        fs::write(&path, "x").expect("written");
        assert!(matches!(Listener::open(Some(&path)), Err(ListenError::NotASocket(_))));
    }

    #[tokio::test]
    async fn a_successors_socket_is_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("plugin.sock");
        let first = Listener::open(Some(&path)).expect("a listener");
        fs::rename(&path, directory.path().join("aside")).expect("renamed");
        let _second = Listener::open(Some(&path)).expect("a listener");
        drop(first);
        assert!(path.exists());
    }
}
