//! Time limits for requests to Docker.

use std::future::Future;
use std::time::Duration;

use super::errors::RequestFailure;

/// The limit for requests that are normally quick, such as an inspection, a resize or a read of the logs.
pub(super) const QUICK: Duration = Duration::from_secs(15);
/// The limit for requests that may take long, such as a start, a removal or a command.
pub(super) const SLOW: Duration = Duration::from_mins(1);
/// The limit of the client library, in seconds. It is practically unlimited, because the limits here apply.
pub(super) const UNBOUNDED_SECONDS: u64 = 366 * 24 * 3600;

/// Runs work with a time limit.
pub(super) async fn within<T, E>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>> + Send,
) -> Result<T, RequestFailure>
where
    RequestFailure: From<E>,
{
    match tokio::time::timeout(limit, work).await {
        Ok(outcome) => Ok(outcome?),
        Err(_elapsed) => Err(RequestFailure::TimedOut(limit)),
    }
}
