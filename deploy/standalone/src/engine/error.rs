//! What can go wrong with the private engine.

use std::path::PathBuf;

use super::settings::LONGEST_DIRECTORY;

/// The private engine could not be started, kept up or taken down.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Only root may make bridges, mounts and containers.
    #[error(
        "the private engine needs root (it makes a bridge, mounts and containers): run it as root or through sudo"
    )]
    NotRoot,
    /// A program is not installed.
    #[error("`{program}` is not installed: it comes with Debian's package {package}")]
    Missing {
        /// The program.
        program: &'static str,
        /// Where it comes from.
        package: &'static str,
    },
    /// Unix sockets have short names.
    #[error(
        "the directory {directory} is too long for the sockets in it: at most {LONGEST_DIRECTORY} bytes"
    )]
    TooLong {
        /// The directory.
        directory: PathBuf,
    },
    /// A file or directory could not be made, read or removed.
    #[error("cannot {doing} {path}")]
    File {
        /// Such as `write`.
        doing: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// A program did not do what it was told.
    #[error("`{line}` failed: {words}")]
    Command {
        /// What was run.
        line: String,
        /// What it said.
        words: String,
    },
    /// Every candidate is taken by a route of this machine.
    #[error("no free private /24 network is left for the bridge")]
    NoFreeNetwork,
    /// A program could not be started at all.
    #[error("cannot start `{program}`")]
    Spawn {
        /// Which.
        program: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It ended before it was told to.
    #[error("{program} ended ({status}); its last words:\n{words}")]
    Ended {
        /// Which.
        program: &'static str,
        /// How.
        status: String,
        /// The last lines of its log.
        words: String,
    },
    /// It was not ready in time.
    #[error("{program} was not ready within {seconds} s; its last words:\n{words}")]
    NotReady {
        /// Which.
        program: &'static str,
        /// How long it had.
        seconds: u64,
        /// The last lines of its log.
        words: String,
    },
    /// It says that it is ready and does not answer.
    #[error("the engine does not answer on {socket}")]
    NoAnswer {
        /// Where it was asked.
        socket: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Some of its processes cannot be ended.
    #[error("processes of the private engine do not end: {pids:?}")]
    Unkillable {
        /// Which.
        pids: Vec<i32>,
    },
}

/// Names the file in an I/O error.
pub(super) fn at(
    doing: &'static str,
    path: &std::path::Path,
) -> impl FnOnce(std::io::Error) -> EngineError {
    let path = path.to_owned();
    move |cause| EngineError::File { doing, path, cause }
}
