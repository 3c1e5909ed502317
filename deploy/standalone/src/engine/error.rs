//! The errors of the private engine.

use std::path::PathBuf;

use super::settings::LONGEST_DIRECTORY;

/// Why the private engine cannot be started, has failed, or cannot be removed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The process does not run as root.
    #[error(
        "the private Docker engine needs root, because it creates a bridge, mounts and containers: run it as root or \
         with sudo"
    )]
    NotRoot,
    /// A program is not installed.
    #[error("`{program}` is not installed: install the Debian package {package}")]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package.
        package: &'static str,
    },
    /// The path is too long for unix sockets.
    #[error(
        "the path {directory} is too long for unix sockets: choose one of at most {LONGEST_DIRECTORY} bytes"
    )]
    TooLong {
        /// The directory.
        directory: PathBuf,
    },
    /// A file or directory cannot be created, read or removed.
    #[error("cannot {doing} {path}")]
    File {
        /// The action, such as `write`.
        doing: &'static str,
        /// The path.
        path: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// A program failed.
    #[error("`{line}` failed: {stderr}")]
    Command {
        /// The command line.
        line: String,
        /// Its output on stderr.
        stderr: String,
    },
    /// The machine's routes overlap all candidates.
    #[error("no private /24 network is free for the bridge: remove a route (ip -4 route)")]
    NoFreeNetwork,
    /// A program cannot be started.
    #[error("cannot start `{program}`")]
    Spawn {
        /// The program.
        program: String,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// A program exited unexpectedly.
    #[error("{program} exited ({status}); its last log lines:\n{log_tail}")]
    Ended {
        /// The program.
        program: &'static str,
        /// The exit status.
        status: String,
        /// The last lines of its log.
        log_tail: String,
    },
    /// A program was not ready in time.
    #[error("{program} was not ready within {seconds} s; its last log lines:\n{log_tail}")]
    NotReady {
        /// The program.
        program: &'static str,
        /// The time limit, in seconds.
        seconds: u64,
        /// The last lines of its log.
        log_tail: String,
    },
    /// dockerd announced that it is ready, but does not answer.
    #[error("the engine does not answer on {socket}")]
    NoAnswer {
        /// The engine's socket.
        socket: PathBuf,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// Some processes do not end after SIGKILL.
    #[error("these processes of the private engine did not end after SIGKILL: {pids:?}")]
    Unkillable {
        /// The process IDs.
        pids: Vec<i32>,
    },
}

/// Adds the path to an I/O error.
pub(super) fn at(
    doing: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(std::io::Error) -> EngineError {
    let path = path.to_owned();
    move |cause| EngineError::File { doing, path, cause }
}
