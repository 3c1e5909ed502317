//! Maintains the ledger: expires operations, deletes old ones, old tombstones and events, restarts unhealthy containers
//! again, and counts the hosts. Any number of zun-api processes may do this at the same time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use zun_common::chain;
use zun_common::id::ContainerId;
use zun_common::rpc::envelope::CallContext;
use zun_common::shutdown::Tasks;

use crate::app::{App, containers};
use crate::db::operation::{self, Settled};
use crate::db::{Conn, DbError, container, event, host, now, transaction};
use crate::settings::EventSettings;

/// The interval between two rounds.
const INTERVAL: Duration = Duration::from_secs(2);
/// The number of rounds between two searches for old tombstones.
const PURGE_EVERY: u32 = 300;
/// Maximum number of transactions that delete old events, or operations, in one round.
const MAX_PRUNINGS: u32 = 200;
/// How long a tombstone is kept after its host has confirmed the removal.
const TOMBSTONE_AGE: TimeDelta = TimeDelta::days(30);
/// How long an operation is kept after it has ended, if its container has a later one.
const OPERATION_AGE: TimeDelta = TimeDelta::days(30);

/// Maintains the ledger until shutdown.
pub(crate) async fn maintain(app: Arc<App>, tasks: Tasks) {
    let mut failing = false;
    for round in (0..PURGE_EVERY).cycle() {
        let outcome = tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            outcome = maintain_once(&app, round == 0) => outcome,
        };
        match outcome {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                tracing::warn!(error = %chain(&error), "cannot expire operations, restart unhealthy containers, or purge old rows and events; will retry");
                failing = true;
            }
            Err(_still) => {}
        }
        tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}

async fn maintain_once(app: &Arc<App>, purge: bool) -> Result<(), DbError> {
    let state = |conn: &mut Conn| {
        let at = now(conn)?;
        Ok((
            operation::is_any_due(conn, at)?,
            operation::stalled_removals(conn)?,
            host::beating(conn)?,
            container::to_heal(conn, at)?,
        ))
    };
    let (is_any_due, stalled, beating, unhealthy) = app.db.read(state).await?;
    app.hosts_beating.store(u32::try_from(beating).unwrap_or(u32::MAX), Ordering::Relaxed);
    app.metrics.removals_stalled.set(stalled);
    // Only what is due needs the writer.
    if is_any_due {
        expire(app).await?;
    }
    for id in unhealthy {
        check_health(app, id).await?;
    }
    if purge {
        let purged = app
            .db
            .write_relaxed(|conn| {
                transaction(conn, |conn| {
                    let before = now(conn)? - TOMBSTONE_AGE;
                    container::purge(conn, before)
                })
            })
            .await?;
        tracing::debug!(purged, "purged the rows of deleted containers");
        prune_events(app).await?;
        prune_operations(app).await?;
    }
    Ok(())
}

/// Checks a container whose restart may have failed, or had to wait.
async fn check_health(app: &Arc<App>, id: ContainerId) -> Result<(), DbError> {
    let check = move |conn: &mut Conn| {
        let at = now(conn)?;
        containers::check_health(conn, id, at)
    };
    let accepted = app.db.write_durable(move |conn| transaction(conn, check)).await?;
    if let Some(accepted) = accepted {
        tracing::info!(container.id = %id, "asking the host to restart the unhealthy container {id} again");
        app.nudge_later(CallContext::internal(), accepted);
    }
    Ok(())
}

/// Deletes old operations, some in each transaction.
async fn prune_operations(app: &App) -> Result<(), DbError> {
    for _ in 0..MAX_PRUNINGS {
        let prune = |conn: &mut Conn| {
            let before = now(conn)? - OPERATION_AGE;
            operation::prune(conn, before)
        };
        if !app.db.write_relaxed(move |conn| transaction(conn, prune)).await? {
            break;
        }
    }
    Ok(())
}

/// Deletes old events, some in each transaction, so that others get their turn.
async fn prune_events(app: &App) -> Result<(), DbError> {
    let EventSettings { days, kept, streams: _ } = app.settings.events;
    for _ in 0..MAX_PRUNINGS {
        let prune = move |conn: &mut Conn| {
            let before = now(conn)? - TimeDelta::days(i64::from(days));
            event::prune(conn, (before, i64::from(kept)))
        };
        if !app.db.write_relaxed(move |conn| transaction(conn, prune)).await? {
            break;
        }
    }
    Ok(())
}

async fn expire(app: &App) -> Result<(), DbError> {
    let expire = |conn: &mut Conn| {
        let at = now(conn)?;
        operation::expire(conn, at)
    };
    for Settled { record, ended } in
        app.db.write_durable(move |conn| transaction(conn, expire)).await?
    {
        app.metrics.count_operations(ended);
        let Some(record) = record else { continue };
        tracing::warn!(container.id = %record.id, "an operation on container {} has expired", record.id);
        app.hub.publish(&record);
    }
    Ok(())
}
