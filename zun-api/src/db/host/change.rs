//! What changes a host's row.

use chrono::{NaiveDateTime, TimeDelta, Utc};
use diesel::prelude::*;
use uuid::Uuid;
use zun_common::rpc::host::{Heartbeat, Inventory};

use crate::db::schema::hosts::dsl;
use crate::db::{Conn, DbError, lock, transaction};

/// For so long a host's last word stands against an older heartbeat. Not for longer: the host's clock may
/// have been set back.
const OVERTAKES: TimeDelta = TimeDelta::seconds(30);

/// Notes a heartbeat; the first makes the host's row. Says whether it counts: they are worked on side by
/// side, and one that says that the host leaves is not undone by the one sent just before it.
pub(crate) fn beat(conn: &mut Conn, heartbeat: &Heartbeat) -> Result<bool, DbError> {
    match transaction(conn, |conn| note(conn, heartbeat)) {
        // Another transaction has inserted the host's first row meanwhile. Now there is a row to update.
        Err(error) if error.is_duplicate() => transaction(conn, |conn| note(conn, heartbeat)),
        noted => noted,
    }
}

fn note(conn: &mut Conn, heartbeat: &Heartbeat) -> Result<bool, DbError> {
    let Heartbeat { host, inventory, console, console_trouble, interval, leaving, generation } =
        heartbeat;
    let now = Utc::now().naive_utc();
    let console = console.as_ref().map(serde_json::to_string).transpose()?;
    let told = (
        dsl::engine_up.eq(inventory.is_some()),
        dsl::console.eq(console),
        dsl::console_trouble.eq(console_trouble.as_ref()),
        dsl::interval_seconds.eq(i32::try_from(*interval).unwrap_or(i32::MAX)),
        dsl::leaving.eq(*leaving),
        dsl::heartbeat_generation.eq(*generation),
        dsl::last_seen.eq(now),
        dsl::updated_at.eq(now),
    );
    lock::host(conn, host.as_str())?;
    let row = dsl::hosts.filter(dsl::name.eq(host.as_str()));
    let columns = (dsl::leaving, dsl::heartbeat_generation, dsl::last_seen);
    let last: Option<(bool, i64, NaiveDateTime)> = row.select(columns).first(conn).optional()?;
    let overtaken = |(left, last, seen): (bool, i64, NaiveDateTime)| {
        left && *generation <= last && now - seen < OVERTAKES
    };
    if last.is_some_and(overtaken) {
        return Ok(false);
    }
    if last.is_some() {
        diesel::update(row)
            .set((told, dsl::report_count.eq(dsl::report_count + 1)))
            .execute(conn)?;
    } else {
        diesel::insert_into(dsl::hosts)
            .values((
                told,
                dsl::uuid.eq(Uuid::new_v4().to_string()),
                dsl::name.eq(host.as_str()),
                dsl::cpu_millis.eq(0),
                dsl::memory_mib.eq(0),
                dsl::report_count.eq(1),
                dsl::created_at.eq(now),
            ))
            .execute(conn)?;
    }
    if let Some(inventory) = inventory {
        describe(conn, host.as_str(), inventory)?;
    }
    Ok(true)
}

fn describe(conn: &mut Conn, host: &str, inventory: &Inventory) -> Result<(), DbError> {
    let total = inventory.total;
    diesel::update(dsl::hosts.filter(dsl::name.eq(host)))
        .set((
            dsl::inventory.eq(serde_json::to_string(inventory)?),
            dsl::cpu_millis.eq(i64::from(total.cpus.millis())),
            dsl::memory_mib.eq(i64::try_from(total.memory.0).unwrap_or(i64::MAX)),
        ))
        .execute(conn)?;
    Ok(())
}
