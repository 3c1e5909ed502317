//! How far the host has come in the cluster's ledger, in a file. zun-api compares it with its database when the agent
//! registers and at each heartbeat, and so notices that the database was restored from an older copy.
//!
//! The file is written at most once a second, and never while an operation waits for it. After a crash, it may lag
//! behind by a second. It never runs ahead: with a number that the database has not assigned, a healthy host would
//! count as recovering.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use zun_common::atomic_file::{self, Attributes};
use zun_common::chain;
use zun_common::environment;
use zun_common::id::{ClusterId, Epoch, HostName, OperationId};
use zun_common::rpc::operation::LedgerPosition;
use zun_common::shutdown::Tasks;

use crate::host::Host;

/// The pause between two writes.
const PAUSE: Duration = Duration::from_secs(1);

/// The position, and its file.
#[derive(Debug)]
pub(crate) struct PositionFile {
    path: PathBuf,
    position: Mutex<Option<LedgerPosition>>,
    changed: Notify,
}

impl PositionFile {
    /// Reads the file of a host. It need not exist.
    pub(crate) fn read(directory: &Path, host: &HostName) -> io::Result<Self> {
        let path = directory.join(format!("ledger-{host}.json"));
        let position = match std::fs::read(&path) {
            Ok(bytes) => Some(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self { path, position: Mutex::new(position), changed: Notify::new() })
    }

    /// The position; `None` if the host has never registered.
    pub(crate) fn get(&self) -> Option<LedgerPosition> {
        self.position().clone()
    }

    /// An epoch begins. Numbers of another cluster mean nothing.
    pub(crate) fn begin(&self, cluster: ClusterId, epoch: Epoch) {
        let mut position = self.position();
        let known = position.as_ref().filter(|position| position.cluster == cluster);
        *position = Some(match known {
            Some(known) => LedgerPosition { epoch, ..known.clone() },
            None => LedgerPosition { cluster, epoch, sequence: 0, operation: None, compared: None },
        });
        self.changed.notify_one();
    }

    /// An operation with this number has arrived.
    pub(crate) fn received(&self, (sequence, operation): (i64, OperationId)) {
        if let Some(position) = self.position().as_mut()
            && sequence > position.sequence
        {
            position.sequence = sequence;
            position.operation = Some(operation);
            self.changed.notify_one();
        }
    }

    /// zun-api has compared this position with its database, and has accepted it.
    pub(crate) fn compared(&self, sent: &LedgerPosition) {
        if let Some(position) = self.position().as_mut()
            && position.cluster == sent.cluster
            && position.compared != sent.newest()
        {
            position.compared = sent.newest();
            self.changed.notify_one();
        }
    }

    async fn write(&self) -> io::Result<()> {
        let Some(position) = self.get() else { return Ok(()) };
        let (path, bytes) = (self.path.clone(), serde_json::to_vec(&position)?);
        let write = move || atomic_file::replace(&path, &bytes, Attributes::PRIVATE);
        environment::run_blocking(write).await.map_err(io::Error::other)?
    }

    fn position(&self) -> MutexGuard<'_, Option<LedgerPosition>> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the file after changes, until shutdown, and then once more.
pub(crate) async fn keep(host: Arc<Host>, tasks: Tasks) {
    loop {
        let is_last = tokio::select! {
            biased;
            () = tasks.cancelled() => true,
            () = host.position.changed.notified() => false,
        };
        if let Err(error) = host.position.write().await {
            let path = host.position.path.display();
            tracing::error!(error = %chain(&error), "cannot write {path}");
        }
        if is_last {
            return;
        }
        tokio::select! {
            biased;
            () = tasks.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use zun_common::rpc::operation::NumberedOperation;

    use super::*;

    #[test]
    fn the_operation_that_was_compared_is_told_until_a_later_one_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let host: HostName = "compute1".parse().expect("a name");
        let position = PositionFile::read(directory.path(), &host).expect("a position");
        position.begin("one".parse().expect("an id"), Epoch(1));
        let [first, second] = [(); 2].map(|()| OperationId::random());
        position.received((7, first));
        let sent = position.get().expect("a position");
        position.received((8, second));
        position.compared(&sent);
        let now = position.get().expect("a position");
        let numbered = |sequence, operation| Some(NumberedOperation { sequence, operation });
        assert_eq!((now.compared, now.newest()), (numbered(7, first), numbered(8, second)));
    }

    #[tokio::test]
    async fn the_position_is_kept_for_a_cluster_and_only_rises() {
        let directory = tempfile::tempdir().expect("a directory");
        let host: HostName = "compute1".parse().expect("a name");
        let read = || PositionFile::read(directory.path(), &host).expect("a position");
        let [one, other] = ["one", "other"].map(|id| id.parse::<ClusterId>().expect("an id"));
        let first = read();
        assert_eq!(first.get(), None);
        first.begin(one.clone(), Epoch(3));
        let operation = OperationId::random();
        first.received((7, operation));
        first.received((5, OperationId::random()));
        first.write().await.expect("written");
        let second = read();
        let (cluster, epoch) = (one.clone(), Epoch(3));
        let operation = Some(operation);
        let expected = LedgerPosition { cluster, epoch, sequence: 7, operation, compared: None };
        assert_eq!(second.get(), Some(expected));
        second.begin(one, Epoch(4));
        assert_eq!(second.get().map(|position| position.sequence), Some(7));
        second.begin(other, Epoch(1));
        assert_eq!(second.get().map(|position| position.sequence), Some(0));
    }
}
