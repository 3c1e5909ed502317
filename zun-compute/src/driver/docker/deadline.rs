//! No request waits for ever.

use std::future::Future;
use std::time::Duration;

use super::errors::Trouble;

/// For what an engine answers from memory.
pub(super) const QUICK: Duration = Duration::from_secs(15);
/// For what touches disks, networks and processes.
pub(super) const SLOW: Duration = Duration::from_mins(1);
/// For the client library, whose own deadline is not used.
pub(super) const UNBOUNDED_SECONDS: u64 = 366 * 24 * 3600;

/// Ends work that is not done in time.
pub(super) async fn within<T, E>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>> + Send,
) -> Result<T, Trouble>
where
    Trouble: From<E>,
{
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => Ok(outcome?),
        Err(_elapsed) => Err(Trouble::Late(limit)),
    }
}
