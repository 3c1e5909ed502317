//! Agents that must not register, because another one may be running: one of the same host, or one on the same engine.
//! Epochs alone do not prevent two agents from working at the same time, because an engine does not check epochs.

use std::fmt;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::id::HostName;
use zun_common::rpc::operation::{AgentIdentity, RegisterAgent};

use super::change::has_containers;
use super::query;
use super::row::{Liveness, Record};
use crate::db::schema::hosts::dsl;
use crate::db::{Conn, DbError, now};

/// Seconds without a heartbeat after which an agent begins no more operations, because those that it has received are
/// past their time limits.
const GONE_AFTER: i64 = 62;
/// Seconds after which a repeated refusal is noted again.
const NOTED_EVERY: i64 = 30;

/// Why an agent may not register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The host has containers in another engine.
    OtherEngine {
        /// The host.
        host: HostName,
        /// The engine's ID.
        known: String,
    },
    /// The host has another agent.
    OtherAgent {
        /// The host.
        host: HostName,
        /// Whether that agent manages the same engine.
        same_engine: bool,
    },
    /// The engine is another host's.
    SharedEngine {
        /// The host.
        host: HostName,
        /// The other host.
        other: HostName,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherEngine { host, known } => write!(
                out,
                "host `{host}` has containers in another engine ({known}). If its machine or Docker's data was replaced, \
                 those containers are lost: an administrator confirms this with `zun host replace {host}`"
            ),
            Self::OtherAgent { host, same_engine: false } => write!(
                out,
                "host `{host}` has an agent already, on another machine. Give one of the two machines another name (the \
                 setting `host` of zun-compute). If this machine replaces the other one, stop the agent there, and wait a \
                 minute"
            ),
            Self::OtherAgent { host, same_engine: true } => write!(
                out,
                "host `{host}` has an agent already, for the same Docker engine, with another `state_directory`. Stop one \
                 of the two: the other one registers within a minute"
            ),
            Self::SharedEngine { host, other } => write!(
                out,
                "the Docker engine of host `{host}` is that of host `{other}`, on the same machine. Stop one of the two \
                 agents. If the host was renamed, give it its name `{other}` back, or delete the containers of \
                 `{other}` first"
            ),
        }
    }
}

/// Returns why the agent may not register, if there is a reason.
pub(super) fn refusal(
    conn: &mut Conn,
    record: &Record,
    agent: &RegisterAgent,
) -> Result<Option<Refusal>, DbError> {
    let now = now(conn)?;
    let host = agent.host.clone();
    let same_engine = record.engine_id.as_ref() == Some(&agent.engine_id);
    if let Some(identity) = &agent.agent
        && is_rival(record, identity, now)
    {
        return Ok(Some(Refusal::OtherAgent { host, same_engine }));
    }
    if let Some(known) = record.engine_id.as_ref().filter(|_| !same_engine)
        && has_containers(conn, &host)?
    {
        return Ok(Some(Refusal::OtherEngine { host, known: known.clone() }));
    }
    let Some(AgentIdentity { boot: Some(boot), data: Some(data), .. }) = &agent.agent else {
        return Ok(None);
    };
    // Engines of machines that were cloned may have one ID, but not one boot. Those of one machine may have one ID, too
    // (Docker 20.10), but not one directory.
    let others = query::all(conn)?.into_iter().filter(|other| {
        other.name != host
            && other.engine_id.as_ref() == Some(&agent.engine_id)
            && other.agent_boot.as_ref() == Some(boot)
            && other.engine_data.as_ref() == Some(data)
    });
    for other in others {
        if may_be_at_work(&other, now) || has_containers(conn, &other.name)? {
            return Ok(Some(Refusal::SharedEngine { host, other: other.name }));
        }
    }
    Ok(None)
}

/// Whether the host's agent is another one, and may still be running. The agents of one state directory cannot run at
/// the same time, unless the directory was copied to another machine.
fn is_rival(record: &Record, agent: &AgentIdentity, now: NaiveDateTime) -> bool {
    let Some(state) = &record.agent_state else { return false };
    if *state != agent.state.to_string() {
        return may_be_at_work(record, now);
    }
    let was_booted = record.agent_boot.is_some() && record.agent_boot != agent.boot;
    was_booted && record.heartbeats(now) == Liveness::Up
}

fn may_be_at_work(record: &Record, now: NaiveDateTime) -> bool {
    match record.heartbeats(now) {
        Liveness::Up | Liveness::ClockSetBack => true,
        Liveness::NoHeartbeat(seconds) => seconds < GONE_AFTER,
        Liveness::Left | Liveness::Forced => false,
    }
}

/// Notes a refusal, for the administrator. Returns whether it was not noted lately.
pub(super) fn note(conn: &mut Conn, refusal: &Refusal) -> Result<bool, DbError> {
    let (now, words) = (now(conn)?, refusal.to_string());
    let mut hosts = match refusal {
        Refusal::OtherEngine { host, .. } | Refusal::OtherAgent { host, .. } => vec![host],
        Refusal::SharedEngine { host, other } => vec![host, other],
    };
    hosts.sort_unstable_by_key(|host| host.as_str());
    let mut is_new = false;
    for host in hosts {
        let known = query::by_name(conn, host)?;
        let is_known = known.is_some_and(|record| {
            let noted = record.refused_at.is_some_and(|at| (now - at).num_seconds() < NOTED_EVERY);
            noted && record.refusal.as_ref() == Some(&words)
        });
        if !is_known {
            diesel::update(dsl::hosts.filter(dsl::name.eq(host.as_str())))
                .set((dsl::refusal.eq(&words), dsl::refused_at.eq(now)))
                .execute(conn)?;
            is_new = true;
        }
    }
    Ok(is_new)
}
