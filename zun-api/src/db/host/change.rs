//! What changes a host's row.

use chrono::Utc;
use diesel::prelude::*;
use uuid::Uuid;
use zun_common::rpc::host::{Heartbeat, Inventory};

use crate::db::schema::hosts::dsl;
use crate::db::{Conn, DbError, transaction};

/// Notes a heartbeat; the first makes the host's row.
pub(crate) fn beat(conn: &mut Conn, heartbeat: &Heartbeat) -> Result<(), DbError> {
    let Heartbeat { host, inventory, console, interval, leaving } = heartbeat;
    let now = Utc::now().naive_utc();
    let console = console.as_ref().map(serde_json::to_string).transpose()?;
    let told = (
        dsl::engine_up.eq(inventory.is_some()),
        dsl::console.eq(console),
        dsl::interval_seconds.eq(i32::try_from(*interval).unwrap_or(i32::MAX)),
        dsl::leaving.eq(*leaving),
        dsl::last_seen.eq(now),
        dsl::updated_at.eq(now),
    );
    transaction(conn, |conn| {
        let known = diesel::update(dsl::hosts.filter(dsl::name.eq(host.as_str())))
            .set((told.clone(), dsl::report_count.eq(dsl::report_count + 1)))
            .execute(conn)?;
        if known == 0 {
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
        match inventory {
            Some(inventory) => describe(conn, host.as_str(), inventory),
            None => Ok(()),
        }
    })
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
