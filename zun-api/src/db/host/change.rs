//! Changes of a host's row.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use diesel::dsl::{exists, select};
use diesel::prelude::*;
use zun_common::environment::random_uuid;
use zun_common::id::{Epoch, HostName};
use zun_common::rpc::host::{Heartbeat, Inventory, StrayContainer};
use zun_common::rpc::operation::{LedgerPosition, RegisterAgent, Registered, SendHeartbeat};
use zun_common::status::Status;

use super::query::{by_name, by_name_now};
use super::rival::{self, Refusal};
use super::row::Record;
use crate::db::operation::{self, Asked, HandOut};
use crate::db::schema::hosts::dsl;
use crate::db::{Conn, DbError, cluster, lock, now, transaction};

/// The result of a registration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Registration {
    /// An epoch begins.
    Begun {
        /// The epoch, and the cluster.
        registered: Registered,
        /// Whether the database is older than what the host has received.
        is_recovering: bool,
    },
    /// The agent may not register.
    Refused {
        /// Why.
        refusal: Refusal,
        /// Whether it was not refused for the same reason lately.
        is_new: bool,
    },
}

/// The highest epoch and number of an operation. Higher ones from an agent are refused, so that none can use up the
/// range.
const HIGHEST: i64 = 1 << 53;

/// The longest time between a heartbeat and its effect: its deadline of 5 seconds, the difference of clocks that the bus
/// allows, and the attempts of zun-api.
const LONGEST_WAIT: TimeDelta = TimeDelta::seconds(60);

/// Maximum number of transactions to try for a registration.
const MAX_ATTEMPTS: usize = 8;

/// Registers an agent: its epoch begins, and the one before it ends.
pub(crate) fn register(conn: &mut Conn, agent: &RegisterAgent) -> Result<Registration, DbError> {
    for _ in 0..MAX_ATTEMPTS {
        match transaction(conn, |conn| begin_epoch(conn, agent)) {
            // Another transaction has inserted the host's row meanwhile, or begun an epoch.
            Err(error) if error.is_duplicate() => {}
            Ok(None) => {}
            Ok(Some(done)) => return Ok(done),
            Err(error) => return Err(error),
        }
    }
    Err(DbError::Busy("other agents of the host are registering".into()))
}

/// `None` if another epoch has begun meanwhile.
fn begin_epoch(conn: &mut Conn, agent: &RegisterAgent) -> Result<Option<Registration>, DbError> {
    let RegisterAgent { host, engine_id, protocol, position, agent: identity } = agent;
    let cluster = cluster::id(conn)?;
    // Prevents two hosts with one engine from registering at the same time.
    lock::cluster(conn)?;
    let position = position.as_ref().filter(|position| position.cluster == cluster);
    let known = position.map_or(0, |position| position.sequence.min(HIGHEST));
    let former = by_name(conn, host)?.map(|record| record.epoch);
    if let Some(epoch) = former {
        operation::lock_epoch(conn, host, (epoch, known))?;
    }
    lock::host(conn, host.as_str())?;
    let record = match (by_name(conn, host)?, former) {
        (Some(record), Some(former)) if record.epoch == former => record,
        (Some(_), _) => return Ok(None),
        (None, _) => insert(conn, host)?,
    };
    if let Some(refusal) = rival::refusal(conn, &record, agent)? {
        let is_new = rival::note(conn, &refusal)?;
        return Ok(Some(Registration::Refused { refusal, is_new }));
    }
    let last_epoch = position.map_or(0, |position| position.epoch.0.min(HIGHEST));
    let epoch = Epoch(record.epoch.0.max(last_epoch) + 1);
    let is_older = match position {
        Some(position) => is_older(conn, &record, position)?,
        None => false,
    };
    let agent_sequence = record.agent_sequence.max(is_older.then_some(known));
    diesel::update(dsl::hosts.filter(dsl::name.eq(host.as_str())))
        .set((
            dsl::epoch.eq(epoch.0),
            dsl::engine_id.eq(engine_id),
            dsl::protocol.eq(i32::try_from(*protocol).unwrap_or(i32::MAX)),
            dsl::agent_sequence.eq(agent_sequence),
            dsl::agent_state.eq(identity.as_ref().map(|identity| identity.state.to_string())),
            dsl::agent_boot.eq(identity.as_ref().and_then(|identity| identity.boot.as_ref())),
            dsl::engine_data.eq(identity.as_ref().and_then(|identity| identity.data.as_ref())),
            dsl::refusal.eq(None::<String>),
            dsl::removed_at.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)?;
    operation::end_epoch(conn, host, (record.epoch, record.leaving))?;
    // Only the newest copy of the database knows which agent received which operation.
    operation::mark_non_idempotent_unknown(conn, host, known)?;
    let registered = Registered { epoch, cluster };
    Ok(Some(Registration::Begun { registered, is_recovering: agent_sequence.is_some() }))
}

/// Whether the database is an older copy than the one from which an agent received its last operation: it has not given
/// that number yet, or has given it to another operation.
fn is_older(conn: &mut Conn, host: &Record, position: &LedgerPosition) -> Result<bool, DbError> {
    if position.sequence.min(HIGHEST) > host.last_sequence {
        return Ok(true);
    }
    let mut known: Vec<_> = [position.newest(), position.compared].into_iter().flatten().collect();
    known.retain(|known| known.sequence > host.recovered_sequence);
    operation::has_another(conn, &host.name, &known)
}

/// Lets a recovering host carry out operations again, with numbers beyond those that its agent knows. Returns whether
/// there is such a host.
pub(crate) fn recover(conn: &mut Conn, host: &HostName) -> Result<bool, DbError> {
    transaction(conn, |conn| {
        lock::host(conn, host.as_str())?;
        let row = dsl::hosts.filter(dsl::name.eq(host.as_str()));
        diesel::update(row.filter(dsl::agent_sequence.gt(dsl::last_sequence.nullable())))
            .set(dsl::last_sequence.eq(dsl::agent_sequence.assume_not_null()))
            .execute(conn)?;
        diesel::update(row.filter(dsl::agent_sequence.is_not_null()))
            .set((
                dsl::agent_sequence.eq(None::<i64>),
                dsl::recovered_sequence.eq(dsl::last_sequence),
            ))
            .execute(conn)?;
        Ok(by_name(conn, host)?.is_some())
    })
}

/// Clears the engine and the agent of a host. Returns whether there is such a host.
pub(crate) fn forget_engine(conn: &mut Conn, host: &HostName) -> Result<bool, DbError> {
    let row = dsl::hosts.filter(dsl::name.eq(host.as_str()));
    let forgotten = (dsl::engine_id.eq(None::<String>), dsl::agent_state.eq(None::<String>));
    Ok(diesel::update(row).set(forgotten).execute(conn)? > 0)
}

pub(super) fn has_containers(conn: &mut Conn, host: &HostName) -> Result<bool, DbError> {
    use crate::db::schema::containers::dsl as container;
    // A container that is being created may already exist in the engine.
    let being_created = [Status::Creating.as_str(), Status::Deleting.as_str()];
    let may_exist = container::engine_id.is_not_null().or(container::status.eq_any(being_created));
    let on_host = container::containers
        .filter(container::host.eq(host.as_str()))
        .filter(container::gone_at.is_null())
        .filter(may_exist);
    Ok(select(exists(on_host)).get_result(conn)?)
}

fn insert(conn: &mut Conn, host: &HostName) -> Result<Record, DbError> {
    let at = now(conn)?;
    diesel::insert_into(dsl::hosts)
        .values((
            dsl::uuid.eq(random_uuid().to_string()),
            dsl::name.eq(host.as_str()),
            dsl::cpu_millis.eq(0),
            dsl::memory_mib.eq(0),
            dsl::engine_up.eq(false),
            dsl::interval_seconds.eq(1),
            // It is up after its first heartbeat.
            dsl::leaving.eq(true),
            dsl::report_count.eq(0),
            dsl::last_seen.eq(at),
            dsl::created_at.eq(at),
            dsl::updated_at.eq(at),
        ))
        .execute(conn)?;
    by_name(conn, host)?.ok_or(DbError::Query(diesel::result::Error::NotFound))
}

/// Returns the host if this is its current epoch.
pub(crate) fn check_epoch(
    conn: &mut Conn,
    host: &HostName,
    epoch: Epoch,
) -> Result<Option<Record>, DbError> {
    Ok(by_name(conn, host)?.filter(|host| host.epoch == epoch))
}

/// What became of a heartbeat.
#[derive(Debug)]
pub(crate) enum HeartbeatResult {
    /// It is stored.
    Stored {
        /// The host's open operations.
        open: operation::Open,
        /// The database's time.
        at: NaiveDateTime,
    },
    /// It would hand out operations, which must be stored durably. Nothing was changed.
    HandsOut,
    /// It is of another epoch than the host's current one.
    StaleEpoch,
    /// The database is older than what the host has received. The agent must register again, which begins the host's
    /// recovery.
    Older,
}

/// Stores a heartbeat. An earlier one that arrives after the last one of an agent that shuts down changes nothing. Must
/// run in a transaction.
pub(crate) fn beat(
    conn: &mut Conn,
    beat: &SendHeartbeat,
    hand_out: HandOut,
) -> Result<HeartbeatResult, DbError> {
    let SendHeartbeat { epoch, heartbeat, position, digest: _, after, sent_at } = beat;
    let host = &heartbeat.host;
    let Some((record, at)) = by_name_now(conn, host)?.filter(|(host, _)| host.epoch == *epoch)
    else {
        return Ok(HeartbeatResult::StaleEpoch);
    };
    if let Some(position) = position
        && !record.is_recovering()
        && is_older(conn, &record, position)?
        && position.cluster == cluster::id(conn)?
    {
        return Ok(HeartbeatResult::Older);
    }
    // Before the host's row is locked: operations are locked first everywhere.
    let open = if record.is_recovering() {
        operation::Open::NONE
    } else {
        let last_sequence = record.last_sequence;
        let asked = Asked { epoch: *epoch, last_sequence, after: *after, hand_out };
        match operation::open(conn, host, asked, at)? {
            Some(open) => open,
            None => return Ok(HeartbeatResult::HandsOut),
        }
    };
    let seen = seen_at(*sent_at, at);
    store(conn, &record, (*epoch, heartbeat), (seen, at))?;
    Ok(HeartbeatResult::Stored { open, at })
}

/// When the agent was seen that sent a heartbeat: before now, if the heartbeat has waited. No message waits for longer than
/// this limit, so that a larger difference is a step of the database's clock.
fn seen_at(sent_at: Option<DateTime<Utc>>, at: NaiveDateTime) -> NaiveDateTime {
    let sent = sent_at.map_or(at, |sent| sent.naive_utc());
    if (TimeDelta::zero()..LONGEST_WAIT).contains(&(at - sent)) { sent } else { at }
}

fn store(
    conn: &mut Conn,
    was: &Record,
    (epoch, heartbeat): (Epoch, &Heartbeat),
    (seen, at): (NaiveDateTime, NaiveDateTime),
) -> Result<(), DbError> {
    let Heartbeat {
        host,
        inventory,
        console,
        console_trouble,
        interval,
        leaving,
        generation,
        strays,
    } = heartbeat;
    let console = console.as_ref().map(serde_json::to_string).transpose()?;
    let is_new = dsl::heartbeat_epoch.ne(epoch.0).or(dsl::heartbeat_generation.lt(generation));
    diesel::update(dsl::hosts.filter(dsl::name.eq(host.as_str())))
        .filter(dsl::epoch.eq(epoch.0).and(is_new))
        .set((
            dsl::engine_up.eq(inventory.is_some()),
            dsl::console.eq(console),
            dsl::console_trouble.eq(console_trouble.as_ref()),
            dsl::interval_seconds.eq(i32::try_from(*interval).unwrap_or(i32::MAX)),
            dsl::leaving.eq(*leaving),
            dsl::heartbeat_epoch.eq(epoch.0),
            dsl::heartbeat_generation.eq(*generation),
            dsl::last_seen.eq(seen),
            dsl::updated_at.eq(at),
            dsl::report_count.eq(dsl::report_count + 1),
            // A removed host whose agent reports again is back.
            dsl::removed_at.eq(None::<NaiveDateTime>),
        ))
        .execute(conn)?;
    if let Some(inventory) = inventory.as_ref().filter(|new| Some(*new) != was.inventory.as_ref()) {
        describe(conn, host.as_str(), inventory)?;
    }
    if let Some(strays) = strays.as_ref().filter(|strays| **strays != was.strays) {
        note_strays(conn, host, strays)?;
    }
    Ok(())
}

fn note_strays(conn: &mut Conn, host: &HostName, strays: &[StrayContainer]) -> Result<(), DbError> {
    let cpus = strays.iter().map(|one| i64::from(one.limits.cpus.millis())).sum::<i64>();
    let memory = strays.iter().map(|one| i64::try_from(one.limits.memory.0).unwrap_or(i64::MAX));
    let memory = memory.fold(0, i64::saturating_add);
    diesel::update(dsl::hosts.filter(dsl::name.eq(host.as_str())))
        .set((
            dsl::strays.eq(serde_json::to_string(strays)?),
            dsl::stray_cpu_millis.eq(cpus),
            dsl::stray_memory_mib.eq(memory),
        ))
        .execute(conn)?;
    Ok(())
}

fn describe(conn: &mut Conn, host: &str, inventory: &Inventory) -> Result<(), DbError> {
    let total = inventory.total;
    diesel::update(dsl::hosts.filter(dsl::name.eq(host)))
        .set((
            dsl::inventory.eq(serde_json::to_string(inventory)?),
            dsl::cpu_millis.eq(i64::from(total.cpus.millis())),
            dsl::memory_mib.eq(i64::try_from(total.memory.0).unwrap_or(i64::MAX)),
            dsl::disk_gib.eq(i64::try_from(inventory.disk.0).unwrap_or(i64::MAX)),
        ))
        .execute(conn)?;
    Ok(())
}
