//! Copies small archives, lists changed files, and creates images from containers. The host carries out each request.

use zun_common::committed;
use zun_common::rpc::Done;
use zun_common::rpc::files::{
    Archive, Changes, CommitContainer, Committed, GetArchive, LARGEST_ARCHIVE, ListChanges,
    PutArchive,
};
use zun_common::rpc::image::PulledImage;
use zun_common::status::Action;

use super::{Ident, Placed};
use crate::app::{App, AppError, Caller, NotServed};
use crate::db::{Conn, image, transaction};

/// A request to create an image from a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) repository: String,
    pub(crate) tag: String,
}

/// An image that was created from a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedImage {
    /// The engine's ID.
    pub(crate) id: String,
    /// Its name on the host.
    pub(crate) name: String,
}

impl App {
    /// Returns a file or directory of a container as a tar archive.
    pub(crate) async fn get_archive(
        &self,
        caller: &Caller,
        ident: &Ident,
        path: String,
    ) -> Result<Archive, AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::GetArchive).await?;
        self.call_agent(caller, &host, &GetArchive { container: record.id, path }).await
    }

    /// Unpacks a tar archive into a directory of a container.
    pub(crate) async fn put_archive(
        &self,
        caller: &Caller,
        ident: &Ident,
        (path, data): (String, Vec<u8>),
    ) -> Result<(), AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::PutArchive).await?;
        if data.len() > LARGEST_ARCHIVE {
            return Err(NotServed::LargeArchive.into());
        }
        let call = PutArchive { container: record.id, path, data };
        let Done {} = self.call_agent(caller, &host, &call).await?;
        Ok(())
    }

    /// Lists the files of a container that differ from its image.
    pub(crate) async fn changes(
        &self,
        caller: &Caller,
        ident: &Ident,
    ) -> Result<Changes, AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Changes).await?;
        self.call_agent(caller, &host, &ListChanges { container: record.id }).await
    }

    /// Creates an image from a container on its host.
    pub(crate) async fn commit(
        &self,
        caller: &Caller,
        ident: &Ident,
        wanted: Commit,
    ) -> Result<CommittedImage, AppError> {
        let Placed { record, host } = self.require_ready(caller, ident, Action::Commit).await?;
        let Commit { repository, tag } = wanted;
        let repository = format!("{}{repository}", committed::prefix_of(&record.project));
        let name = format!("{repository}:{tag}");
        let made = image::Requested {
            project: record.project.clone(),
            user: caller.identity.user.clone(),
            host: host.name.clone(),
            repo: repository.clone(),
            tag: tag.clone(),
            platform: None,
        };
        let call = CommitContainer { container: record.id, repository, tag };
        let Committed { image: id, size } = self.call_agent(caller, &host, &call).await?;
        let present = PulledImage { id: id.clone(), size: size.unwrap_or_default() };
        let store = move |conn: &mut Conn| image::add(conn, made, &present);
        let image = self.db.write_durable(move |conn| transaction(conn, store)).await?;
        self.hub.note_event(image.subject());
        tracing::info!(
            container.id = %record.id, host.name = %host.name, request.id = %caller.context.request,
            "created the image {name} from container {}", record.id
        );
        Ok(CommittedImage { id, name })
    }
}
