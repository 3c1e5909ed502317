//! Waits until zun-api knows this host, which is the last condition before the service is ready.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{interval, timeout};
use zun_api::Service;
use zun_common::id::HostName;

/// How long the first heartbeat may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The first heartbeat of the agent did not reach zun-api in time.
#[derive(Debug, thiserror::Error)]
#[error("zun-api received no heartbeat from this host within {} s", TIMEOUT.as_secs())]
pub struct NotRegistered;

/// Waits until zun-api has received a heartbeat with this console address. A host from an earlier start has another
/// address.
pub(crate) async fn wait_for_host(
    api: &Service,
    host: &HostName,
    console: SocketAddr,
) -> Result<(), NotRegistered> {
    let console = console.to_string();
    let known = async {
        let mut tick = interval(Duration::from_millis(10));
        while !api.has_host(host, &console).await {
            tick.tick().await;
        }
    };
    timeout(TIMEOUT, known).await.map_err(|_elapsed| NotRegistered)
}
