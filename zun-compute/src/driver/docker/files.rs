//! The files of containers: archives, changes, and images made of containers.

use async_trait::async_trait;
use bollard::models::{ChangeType, ContainerConfig, FilesystemChange};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, ContainerArchiveInfoOptionsBuilder,
    DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::TryStreamExt as _;
use zun_common::id::ContainerId;
use zun_common::rpc::files::{Archive, ChangeKind, FileChange, LARGEST_ARCHIVE, PathStat};

use super::DockerDriver;
use super::deadline::{SLOW, within};
use super::errors::RequestFailure;
use crate::driver::{DriverError, Files, Inspect as _};

#[async_trait]
impl Files for DockerDriver {
    async fn archive_get(
        &self,
        container: ContainerId,
        path: &str,
    ) -> Result<Archive, DriverError> {
        let api = self.api().await?;
        let name = container.engine_name();
        let about = |failure: RequestFailure| about_file(failure, (container, path), "read files");
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        let stat = within(SLOW, api.docker.get_container_archive_info(&name, Some(options)));
        let stat = match stat.await {
            Ok(stat) => stat,
            // The answer to HEAD does not say what is missing.
            Err(failure) if failure.is(404) => {
                self.inspect(container).await?;
                return Err(DriverError::NoFile(path.to_owned()));
            }
            Err(failure) => return Err(about(failure)),
        };
        let modified = stat.modification_time.as_deref();
        let modified = modified.and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        let stat = PathStat {
            name: stat.name,
            size: stat.size,
            mode: stat.file_mode,
            modified: modified.map(|time| time.with_timezone(&Utc)),
            link_target: stat.link_target,
        };
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let pieces = api.docker.download_from_container(&name, Some(options));
        let collecting = pieces.try_fold(Some(Vec::new()), |data, piece| async move {
            // Dropping the stream at the end closes the connection.
            let data = data.filter(|data: &Vec<u8>| data.len() + piece.len() <= LARGEST_ARCHIVE);
            Ok(data.map(|mut data| {
                data.extend_from_slice(&piece);
                data
            }))
        });
        let data = within(SLOW, collecting).await.map_err(about)?;
        Ok(Archive { data: data.ok_or(DriverError::TooLarge)?, stat })
    }

    async fn archive_put(
        &self,
        container: ContainerId,
        path: &str,
        data: Vec<u8>,
    ) -> Result<(), DriverError> {
        let api = self.api().await?;
        let name = container.engine_name();
        let options = UploadToContainerOptionsBuilder::default().path(path).build();
        let body = bollard::body_full(Bytes::from(data));
        within(SLOW, api.docker.upload_to_container(&name, Some(options), body))
            .await
            .map_err(|failure| about_file(failure, (container, path), "write files"))
    }

    async fn changes(&self, container: ContainerId) -> Result<Vec<FileChange>, DriverError> {
        let api = self.api().await?;
        let name = container.engine_name();
        let changes =
            within(SLOW, api.docker.container_changes(&name)).await.map_err(|failure| {
                failure.about_container("compare the files with the image", container)
            })?;
        Ok(changes.unwrap_or_default().into_iter().map(change).collect())
    }

    async fn commit(
        &self,
        container: ContainerId,
        (repository, tag): (&str, &str),
    ) -> Result<String, DriverError> {
        let api = self.api().await?;
        let name = container.engine_name();
        let options = CommitContainerOptionsBuilder::default()
            .container(&name)
            .repo(repository)
            .tag(tag)
            .pause(true)
            .build();
        let committing = api.docker.commit_container(options, ContainerConfig::default());
        let image = within(SLOW, committing).await.map_err(|failure| {
            failure.about_container("create an image from the container", container)
        })?;
        Ok(image.id)
    }
}

fn change(change: FilesystemChange) -> FileChange {
    let kind = match change.kind {
        ChangeType::_0 => ChangeKind::Changed,
        ChangeType::_1 => ChangeKind::Added,
        ChangeType::_2 => ChangeKind::Deleted,
    };
    FileChange { path: change.path, kind }
}

/// Docker answers 404 both without the container and without the file.
fn about_file(
    failure: RequestFailure,
    (container, path): (ContainerId, &str),
    doing: &'static str,
) -> DriverError {
    if failure.is(404) && !failure.says(404, "No such container") {
        return DriverError::NoFile(path.to_owned());
    }
    failure.about_container(doing, container)
}
