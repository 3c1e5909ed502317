//! The plugin's socket: passed by systemd, or created here for root alone.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::fs::Mode;
use tokio::net::UnixListener;

/// Why the plugin has no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// `--socket` is missing, and systemd passed no socket.
    #[error(
        "there is no socket: pass --socket PATH, or start zun-authz through systemd socket activation"
    )]
    NoSocket,
    /// systemd passed another kind of socket.
    #[error("systemd must pass one unix stream socket; check zun-authz.socket")]
    Activation(#[source] io::Error),
    /// Another process listens on the path.
    #[error("another process listens on `{}`: stop it, or pass another --socket", .0.display())]
    InUse(PathBuf),
    /// The path exists and is not a socket.
    #[error("`{}` exists and is not a socket: remove it, or pass another --socket", .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be created.
    #[error("cannot create socket `{}`", .path.display())]
    Bind {
        /// The socket.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// The socket cannot be used with tokio.
    #[error("cannot use the socket")]
    Unusable(#[source] io::Error),
}

/// The listening socket. Dropping it removes the socket file, unless systemd passed the socket or
/// another process has replaced the file.
pub(super) struct Listener {
    socket: UnixListener,
    created: Option<CreatedSocket>,
}

struct CreatedSocket {
    path: PathBuf,
    inode: u64,
}

impl Listener {
    /// Uses the socket that systemd passed, or else creates one at `path`.
    pub(super) fn open(path: Option<&Path>) -> Result<Self, ListenError> {
        let activated =
            ListenFd::from_env().take_unix_listener(0).map_err(ListenError::Activation)?;
        let (listener, created) = match (activated, path) {
            (Some(listener), _) => (listener, None),
            (None, Some(path)) => {
                let (listener, created) = create(path)?;
                (listener, Some(created))
            }
            (None, None) => return Err(ListenError::NoSocket),
        };
        listener.set_nonblocking(true).map_err(ListenError::Unusable)?;
        let socket = UnixListener::from_std(listener).map_err(ListenError::Unusable)?;
        Ok(Self { socket, created })
    }

    pub(super) const fn socket(&self) -> &UnixListener {
        &self.socket
    }

    /// The path of the socket, or `systemd`. For the log.
    pub(super) fn name(&self) -> String {
        match &self.created {
            Some(created) => created.path.display().to_string(),
            None => "systemd".to_owned(),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let Some(created) = &self.created else { return };
        // Another process may have replaced the file.
        if fs::symlink_metadata(&created.path).is_ok_and(|file| file.ino() == created.inode) {
            drop(fs::remove_file(&created.path));
        }
    }
}

fn create(path: &Path) -> Result<(StdListener, CreatedSocket), ListenError> {
    let bind = |cause| ListenError::Bind { path: path.to_path_buf(), cause };
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(bind)?;
    }
    remove_stale(path)?;
    // Set the umask before binding, so that other users can never connect. No other thread creates files yet.
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let bound = StdListener::bind(path);
    rustix::process::umask(before);
    let listener = bound.map_err(bind)?;
    let inode = fs::symlink_metadata(path).map_err(bind)?.ino();
    Ok((listener, CreatedSocket { path: path.to_path_buf(), inode }))
}

/// Removes a stale socket that nobody listens on.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
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
    async fn only_the_owner_can_use_the_socket_and_it_is_removed_with_the_listener() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("below/plugin.sock");
        let listener = Listener::open(Some(&path)).expect("a listener");
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_but_a_live_socket_and_a_file_are_not() {
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
    async fn the_socket_of_a_later_process_is_not_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("plugin.sock");
        let first = Listener::open(Some(&path)).expect("a listener");
        fs::rename(&path, directory.path().join("aside")).expect("renamed");
        let _second = Listener::open(Some(&path)).expect("a listener");
        drop(first);
        assert!(path.exists());
    }
}
