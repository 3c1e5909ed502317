//! Keeps log files within a size. The programs that write them append, so a file can be emptied under them.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::warn;
use zun_common::chain;
use zun_common::shutdown::Tasks;

/// The size at which a file is moved to `FILE.1`, in bytes. With three logs of two files each, all are below 50 MiB.
const LARGEST: u64 = 8 << 20;
/// The time between two checks. No event says that a file has grown.
const INTERVAL: Duration = Duration::from_secs(10);

/// Checks the files until shutdown.
pub(crate) async fn keep_bounded(logs: Vec<PathBuf>, tasks: Tasks) {
    while !tasks.is_cancelled() {
        let files = logs.clone();
        let checking = tokio::task::spawn_blocking(move || rotate_all(&files));
        if let Err(error) = checking.await {
            warn!(error = %chain(&error), "cannot check the logs");
        }
        tokio::select! {
            () = tasks.cancelled() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

fn rotate_all(logs: &[PathBuf]) {
    for log in logs {
        if let Err(error) = rotate(log, LARGEST) {
            warn!(error = %chain(&error), "cannot rotate the log {}", log.display());
        }
    }
}

/// Copies a file that is too large to `FILE.1`, and truncates it. Lines written in between are lost.
fn rotate(log: &Path, largest: u64) -> io::Result<()> {
    match std::fs::metadata(log) {
        Ok(file) if file.len() > largest => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let mut former = log.as_os_str().to_owned();
    former.push(".1");
    std::fs::copy(log, former)?;
    OpenOptions::new().write(true).truncate(true).open(log).map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_log_that_is_too_large_is_moved_while_its_writer_continues() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = directory.path().join("x.log");
        let former = directory.path().join("x.log.1");
        let mut writer = OpenOptions::new().append(true).create(true).open(&log).expect("a log");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&log, mode).expect("its mode");
        let read = |path: &Path| std::fs::read_to_string(path).expect("text");
        writer.write_all(b"first\n").expect("written");
        rotate(&log, 6).expect("checked");
        assert!(!former.exists(), "it is not too large");
        writer.write_all(b"second\n").expect("written");
        rotate(&log, 6).expect("rotated");
        writer.write_all(b"third\n").expect("written");
        assert_eq!((read(&former).as_str(), read(&log).as_str()), ("first\nsecond\n", "third\n"));
        let mode = std::fs::metadata(&former).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        writer.write_all(b"fourth\n").expect("written");
        rotate(&log, 6).expect("rotated again");
        assert_eq!((read(&former).as_str(), read(&log).as_str()), ("third\nfourth\n", ""));
        assert!(rotate(&directory.path().join("none"), 6).is_ok());
    }
}
