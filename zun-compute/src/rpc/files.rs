//! Answers calls about the files of a container.

use std::sync::Arc;

use zun_common::bus::Router;
use zun_common::rpc::files::{
    Archive, Changes, CommitContainer, Committed, GetArchive, LARGEST_ARCHIVE, ListChanges,
    PutArchive,
};
use zun_common::rpc::{Done, Problem};
use zun_common::status::Action;

use super::container::allowed;
use super::{Deadline, answer};
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
    let deadline = Deadline::of::<GetArchive>();
    allowed(host, (container, Action::GetArchive), &deadline).await?;
    let reading = host.driver.archive_get(container, &path);
    deadline.run(host, "read files", reading).await
}

async fn put(host: &Host, call: PutArchive) -> Result<Done, Problem> {
    let PutArchive { container, path, data } = call;
    if data.len() > LARGEST_ARCHIVE {
        return Err(DriverError::TooLarge.problem());
    }
    let deadline = Deadline::of::<PutArchive>();
    allowed(host, (container, Action::PutArchive), &deadline).await?;
    let writing = host.driver.archive_put(container, &path, data);
    deadline.run(host, "write files", writing).await?;
    Ok(Done {})
}

async fn changes(host: &Host, call: ListChanges) -> Result<Changes, Problem> {
    let ListChanges { container } = call;
    let deadline = Deadline::of::<ListChanges>();
    allowed(host, (container, Action::Changes), &deadline).await?;
    let listing = host.driver.changes(container);
    let doing = "compare the files with the image";
    let mut changes = deadline.run(host, doing, listing).await?;
    let truncated = changes.len() > MOST_CHANGES;
    changes.truncate(MOST_CHANGES);
    Ok(Changes { changes, truncated })
}

async fn commit(host: &Host, call: CommitContainer) -> Result<Committed, Problem> {
    let CommitContainer { container, repository, tag } = call;
    let deadline = Deadline::of::<CommitContainer>();
    allowed(host, (container, Action::Commit), &deadline).await?;
    let committing = host.driver.commit(container, (&repository, &tag));
    let doing = "create an image from the container";
    let image = deadline.run(host, doing, committing).await?;
    host.images_changed.notify_one();
    let made = format!("{repository}:{tag}");
    let inspected = host.driver.image_inspect(&made).await;
    Ok(Committed { image, size: inspected.ok().map(|image| image.size) })
}
