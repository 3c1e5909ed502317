//! Reads the counts of a running plugin over the socket that Docker uses.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::server::{METRICS, STATS};

const TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Why the counts cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// Nothing answers on the socket.
    #[error("zun-authz does not answer on `{}`", .socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// The cause.
        #[source]
        cause: io::Error,
    },
    /// Something else answers on the socket.
    #[error("`{}` does not answer like zun-authz: check --socket, and restart zun-authz if it is an older version", .0.display())]
    NotAuthz(PathBuf),
}

/// Returns the counts of the plugin that listens on `socket`, as JSON. Waits at most 5 s for each read and write.
pub fn stats(socket: &Path) -> Result<String, StatsError> {
    read(socket, STATS)
}

/// Returns the same as metrics, in the `OpenMetrics` text format.
pub fn metrics(socket: &Path) -> Result<String, StatsError> {
    read(socket, METRICS)
}

fn read(socket: &Path, path: &str) -> Result<String, StatsError> {
    let answer = ask(socket, path)
        .map_err(|cause| StatsError::Unreachable { socket: socket.to_path_buf(), cause })?;
    match answer.split_once("\r\n\r\n") {
        Some((head, counts)) if head.starts_with("HTTP/1.1 200 ") => Ok(counts.to_owned()),
        Some(_) | None => Err(StatsError::NotAuthz(socket.to_path_buf())),
    }
}

fn ask(socket: &Path, path: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: zun-authz\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}
