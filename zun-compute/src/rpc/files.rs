//! Answers calls about the files of a container.

use std::sync::Arc;

use zun_common::bus::Router;
use zun_common::rpc::files::{
    Archive, Changes, CommitContainer, Committed, GetArchive, LARGEST_ARCHIVE, ListChanges,
    PutArchive,
};
use zun_common::rpc::{Call, Done, Problem};
use zun_common::status::Action;

use super::container::allowed;
use super::{answer, within_deadline};
use crate::driver::DriverError;
use crate::host::Host;

/// The largest number of changes in an answer.
const MOST_CHANGES: usize = 100_000;

/// Adds the calls to the router.
pub(super) fn calls(router: Router, host: &Arc<Host>) -> Router {
    let router = answer(router, host, |host, call| async move { get(&host, call).await });
    let router = answer(router, host, |host, call| async move { put(&host, call).await });
    let router = answer(router, host, |host, call| async move { changes(&host, call).await });
    answer(router, host, |host, call| async move { commit(&host, call).await })
}

async fn get(host: &Host, call: GetArchive) -> Result<Archive, Problem> {
    let GetArchive { container, path } = call;
    allowed(host, container, Action::GetArchive).await?;
    let reading = host.driver.archive_get(container, &path);
    within_deadline(GetArchive::DEADLINE, "read files", reading).await
}

async fn put(host: &Host, call: PutArchive) -> Result<Done, Problem> {
    let PutArchive { container, path, data } = call;
    if data.len() > LARGEST_ARCHIVE {
        return Err(DriverError::TooLarge.problem());
    }
    allowed(host, container, Action::PutArchive).await?;
    let writing = host.driver.archive_put(container, &path, data);
    within_deadline(PutArchive::DEADLINE, "write files", writing).await?;
    Ok(Done {})
}

async fn changes(host: &Host, call: ListChanges) -> Result<Changes, Problem> {
    let ListChanges { container } = call;
    allowed(host, container, Action::Changes).await?;
    let listing = host.driver.changes(container);
    let doing = "compare the files with the image";
    let mut changes = within_deadline(ListChanges::DEADLINE, doing, listing).await?;
    let truncated = changes.len() > MOST_CHANGES;
    changes.truncate(MOST_CHANGES);
    Ok(Changes { changes, truncated })
}

async fn commit(host: &Host, call: CommitContainer) -> Result<Committed, Problem> {
    let CommitContainer { container, repository, tag } = call;
    allowed(host, container, Action::Commit).await?;
    let committing = host.driver.commit(container, (&repository, &tag));
    let doing = "create an image from the container";
    let image = within_deadline(CommitContainer::DEADLINE, doing, committing).await?;
    host.images_changed.notify_one();
    let made = format!("{repository}:{tag}");
    let inspected = host.driver.image_inspect(&made).await;
    Ok(Committed { image, size: inspected.ok().map(|image| image.size) })
}
