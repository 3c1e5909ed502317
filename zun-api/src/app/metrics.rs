//! Collects the metrics.

use std::time::Duration;

use tokio::time::timeout;
use zun_common::chain;

use super::{App, hosts};
use crate::db::{Conn, DbError, container, now, operation};
use crate::metrics::Snapshot;

/// How long the database may take. Prometheus waits for 10 seconds by default.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(3);

impl App {
    /// All metrics in the `OpenMetrics` text format. Values from the database are at most a few seconds old.
    pub(crate) async fn metrics_text(&self) -> String {
        self.metrics.waiting.set(i64::try_from(self.hub.waiting()).unwrap_or(i64::MAX));
        self.metrics.bus_connected.set(i64::from(self.bus.transport().is_connected()));
        if self.metrics.needs_state() {
            self.metrics.set_state(self.snapshot().await.as_ref());
        }
        self.metrics.text().unwrap_or_default()
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        match timeout(DATABASE_TIMEOUT, self.db.read(read)).await {
            Ok(Ok(snapshot)) => Some(snapshot),
            Ok(Err(error)) => {
                tracing::warn!(error = %chain(&error), "cannot read the database for the metrics");
                None
            }
            Err(_elapsed) => {
                tracing::warn!("the database did not answer in time for the metrics");
                None
            }
        }
    }
}

fn read(conn: &mut Conn) -> Result<Snapshot, DbError> {
    Ok(Snapshot {
        now: now(conn)?,
        containers: container::count_by_status(conn)?,
        hosts: hosts::with_liveness(conn)?,
        operations: operation::open_by_kind(conn)?,
    })
}
