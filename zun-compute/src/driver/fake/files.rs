//! Files of the in-memory engine's containers: it keeps an archive for each directory, and does not parse it.

use async_trait::async_trait;
use zun_common::id::ContainerId;
use zun_common::rpc::files::{Archive, ChangeKind, FileChange, LARGEST_ARCHIVE, PathStat};

use super::FakeDriver;
use super::faults::Operation;
use super::shared::full_name;
use crate::driver::{DriverError, Files};

#[async_trait]
impl Files for FakeDriver {
    async fn archive_get(
        &self,
        container: ContainerId,
        path: &str,
    ) -> Result<Archive, DriverError> {
        let work = async {
            let mut state = self.shared.state();
            let data = state.record(container)?.files.get(path).cloned();
            let data = data.ok_or_else(|| DriverError::NoFile(path.to_owned()))?;
            if data.len() > LARGEST_ARCHIVE {
                return Err(DriverError::TooLarge);
            }
            let stat = PathStat {
                name: path.rsplit('/').next().unwrap_or_default().to_owned(),
                size: 4096,
                // A directory.
                mode: (1 << 31) | 0o755,
                modified: None,
                link_target: String::new(),
            };
            Ok(Archive { data, stat })
        };
        self.shared.faults.perform(Operation::ArchiveGet, Some(container), work).await
    }

    async fn archive_put(
        &self,
        container: ContainerId,
        path: &str,
        data: Vec<u8>,
    ) -> Result<(), DriverError> {
        let work = async {
            self.shared.state().record(container)?.files.insert(path.to_owned(), data);
            Ok(())
        };
        self.shared.faults.perform(Operation::ArchivePut, Some(container), work).await
    }

    async fn changes(&self, container: ContainerId) -> Result<Vec<FileChange>, DriverError> {
        let work = async {
            let mut state = self.shared.state();
            let paths = state.record(container)?.files.keys();
            let change =
                |path: &String| FileChange { path: path.clone(), kind: ChangeKind::Changed };
            Ok(paths.map(change).collect())
        };
        self.shared.faults.perform(Operation::Changes, Some(container), work).await
    }

    async fn commit(
        &self,
        container: ContainerId,
        (repository, tag): (&str, &str),
    ) -> Result<String, DriverError> {
        let work = async {
            let mut state = self.shared.state();
            let record = state.record(container)?;
            let (image, project) = (record.engine.to_string(), record.spec.project.clone());
            let name = full_name(&format!("{repository}:{tag}"));
            state.committed.insert(name.clone(), project);
            state.images.insert(name);
            self.shared.image_changes.send_replace(());
            Ok(format!("sha256:{image}"))
        };
        self.shared.faults.perform(Operation::Commit, Some(container), work).await
    }
}
