//! The files of containers: archives, changes, and images created from containers.

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
        check_length(path)?;
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
        check_length(path)?;
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
    match failure {
        RequestFailure::Refused { words, .. } if says_one(&words, &NO_TAR) => {
            let words = format!("the data is not a complete tar archive ({words})");
            DriverError::Invalid { words }
        }
        RequestFailure::Refused { words, .. } if says_one(&words, &NO_DIRECTORY) => {
            DriverError::Invalid { words: format!("{path} is not a directory in the container") }
        }
        RequestFailure::Refused { words, .. } if says_one(&words, &READ_ONLY) => {
            DriverError::Conflict { words }
        }
        failure @ (RequestFailure::Refused { .. }
        | RequestFailure::Unreachable(_)
        | RequestFailure::TimedOut(_)
        | RequestFailure::Unexpected(_)) => failure.about_container(doing, container),
    }
}

/// Parts of messages about mistakes of the caller, for which Docker answers 500.
const NO_TAR: [&str; 4] =
    ["unexpected EOF", "invalid tar header", "Error processing tar file", "archive/tar:"];
const NO_DIRECTORY: [&str; 2] = ["extraction point is not a directory", "not a directory"];
const READ_ONLY: [&str; 2] = ["marked read-only", "read-only file system"];

fn says_one(words: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| words.contains(part))
}

/// Linux has no longer paths and names, so nothing has such a path. Docker gives no reason for that.
fn check_length(path: &str) -> Result<(), DriverError> {
    const LONGEST_PATH: usize = 4095;
    const LONGEST_NAME: usize = 255;
    if path.len() > LONGEST_PATH || path.split('/').any(|name| name.len() > LONGEST_NAME) {
        return Err(DriverError::NoFile(path.chars().take(80).chain(['…']).collect()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_of_the_caller_is_not_a_failure_of_the_engine() {
        let container = ContainerId::random();
        let meaning = |status, words: &str| {
            let failure = RequestFailure::Refused { status, words: words.to_owned() };
            about_file(failure, (container, "/etc/hosts"), "write files")
        };
        let no_tar = meaning(500, "unexpected EOF");
        assert!(matches!(&no_tar, DriverError::Invalid { words } if words.contains("tar archive")));
        assert!(matches!(
            meaning(500, "archive/tar: invalid tar header"),
            DriverError::Invalid { .. }
        ));
        let file = meaning(400, "extraction point is not a directory").to_string();
        assert_eq!(file, "/etc/hosts is not a directory in the container");
        let sealed = meaning(500, "container rootfs is marked read-only");
        assert!(matches!(sealed, DriverError::Conflict { .. }));
        assert!(matches!(meaning(500, "no space left on device"), DriverError::Engine { .. }));
        assert!(matches!(meaning(404, "Could not find the file"), DriverError::NoFile(_)));
    }

    #[test]
    fn no_file_has_a_path_that_is_longer_than_linux_allows() {
        let name = |length: usize| format!("/tmp/{}", "a".repeat(length));
        assert!(check_length(&name(255)).is_ok());
        assert!(matches!(check_length(&name(256)), Err(DriverError::NoFile(_))));
        assert!(matches!(check_length(&"/a".repeat(2048)), Err(DriverError::NoFile(_))));
    }
}
