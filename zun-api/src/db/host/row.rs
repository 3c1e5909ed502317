//! A host's row, and its parsed form.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::id::{Epoch, HostName};
use zun_common::rpc::container::ConsoleListener;
use zun_common::rpc::host::{Inventory, StrayContainer};
use zun_common::units::{Cpus, Gibibytes, Mebibytes, Resources};

use crate::db::column::{json_optional, parse};
use crate::db::schema::hosts;
use crate::db::{Backend, DbError};

/// How many heartbeats may be missed.
const MISSED: i64 = 3;
/// For how many seconds a refusal of an agent is shown, while the host has heartbeats.
const REFUSAL_SHOWN: i64 = 120;
/// The zone of hosts that name none; OpenStack Zun's default.
pub(crate) const DEFAULT_ZONE: &str = "nova";

/// What the containers of a host have claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    pub(crate) claimed: Resources,
    pub(crate) disk: Gibibytes,
    pub(crate) containers: u64,
}

/// A host, as it is in the database.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are the table's columns")]
pub(crate) struct Record {
    pub(crate) number: i32,
    pub(crate) uuid: String,
    pub(crate) name: HostName,
    pub(crate) total: Resources,
    pub(crate) disk: Gibibytes,
    pub(crate) used: Usage,
    pub(crate) inventory: Option<Inventory>,
    pub(crate) engine_up: bool,
    pub(crate) console: Option<ConsoleListener>,
    pub(crate) console_trouble: Option<String>,
    pub(crate) interval: i64,
    pub(crate) leaving: bool,
    pub(crate) disabled: bool,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) forced_down: bool,
    pub(crate) report_count: i64,
    /// The epoch of its agent.
    pub(crate) epoch: Epoch,
    /// The newest protocol that its agent speaks.
    pub(crate) protocol: u32,
    /// The engine's own ID, from the agent's registration.
    pub(crate) engine_id: Option<String>,
    /// The ID of its agent's state directory, the boot of its machine, and the directory with its engine's data.
    pub(super) agent_state: Option<String>,
    pub(super) agent_boot: Option<String>,
    pub(super) engine_data: Option<String>,
    /// Why an agent was refused, and when for the last time.
    pub(super) refusal: Option<String>,
    pub(super) refused_at: Option<NaiveDateTime>,
    /// The number of the last operation.
    pub(crate) last_sequence: i64,
    /// The highest number of an operation that its agent knows, if the database does not know that operation.
    pub(crate) agent_sequence: Option<i64>,
    /// The operations that its agent knows are only compared with the database's beyond this number.
    pub(crate) recovered_sequence: i64,
    /// Containers of this cluster on the host that the database does not know, and the sum of their limits.
    pub(crate) strays: Vec<StrayContainer>,
    pub(crate) stray_limits: Resources,
    pub(crate) last_seen: NaiveDateTime,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: NaiveDateTime,
    /// When an administrator removed it.
    pub(crate) removed_at: Option<NaiveDateTime>,
}

/// Whether a host's agent is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liveness {
    /// Its heartbeats come.
    Up,
    /// None has come for this many seconds.
    NoHeartbeat(i64),
    /// The last one came at a time that the database's clock has not reached again: it was set back.
    ClockSetBack,
    /// It said that it goes.
    Left,
    /// An administrator has marked it as down.
    Forced,
}

impl Record {
    /// Whether its agent knows more than the database, which is then an older copy. Then the host carries out nothing
    /// until an administrator has confirmed it.
    pub(crate) const fn is_recovering(&self) -> bool {
        self.agent_sequence.is_some()
    }

    /// Why another agent is refused, if one was lately.
    pub(crate) fn recent_refusal(&self) -> Option<&str> {
        let at = self.refused_at?;
        let is_recent = (self.last_seen - at).num_seconds() < REFUSAL_SHOWN;
        self.refusal.as_deref().filter(|_| is_recent)
    }

    /// The availability zone that its agent's settings name.
    pub(crate) fn availability_zone(&self) -> &str {
        let zone =
            self.inventory.as_ref().and_then(|inventory| inventory.availability_zone.as_deref());
        zone.unwrap_or(DEFAULT_ZONE)
    }

    /// Whether its agent is alive now.
    pub(crate) fn liveness(&self, now: NaiveDateTime) -> Liveness {
        if self.forced_down { Liveness::Forced } else { self.heartbeats(now) }
    }

    /// The same, from the heartbeats alone: without what administrators have set.
    pub(super) fn heartbeats(&self, now: NaiveDateTime) -> Liveness {
        let Self { leaving, interval, last_seen, .. } = *self;
        Heartbeats { leaving, interval, last_seen }.liveness(now)
    }
}

/// What the last heartbeat of a host said, and when it came.
pub(super) struct Heartbeats {
    pub(super) leaving: bool,
    /// In seconds.
    pub(super) interval: i64,
    pub(super) last_seen: NaiveDateTime,
}

impl Heartbeats {
    /// Whether the host's agent is alive now.
    pub(super) fn liveness(&self, now: NaiveDateTime) -> Liveness {
        let silent = (now - self.last_seen).num_seconds();
        if self.leaving {
            Liveness::Left
        } else if silent > self.interval.max(1) * MISSED {
            Liveness::NoHeartbeat(silent)
        } else if silent < -self.interval.max(1) {
            Liveness::ClockSetBack
        } else {
            Liveness::Up
        }
    }
}

/// The row as it is read.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = hosts, check_for_backend(Backend))]
#[expect(clippy::struct_excessive_bools, reason = "the fields are the table's columns")]
pub(super) struct Row {
    id: i32,
    uuid: String,
    name: String,
    cpu_millis: i64,
    memory_mib: i64,
    inventory: Option<String>,
    engine_up: bool,
    console: Option<String>,
    console_trouble: Option<String>,
    interval_seconds: i32,
    leaving: bool,
    disabled: bool,
    disabled_reason: Option<String>,
    forced_down: bool,
    report_count: i64,
    epoch: i64,
    protocol: i32,
    engine_id: Option<String>,
    agent_state: Option<String>,
    agent_boot: Option<String>,
    engine_data: Option<String>,
    refusal: Option<String>,
    refused_at: Option<NaiveDateTime>,
    last_sequence: i64,
    agent_sequence: Option<i64>,
    recovered_sequence: i64,
    strays: Option<String>,
    stray_cpu_millis: i64,
    stray_memory_mib: i64,
    used_cpu_millis: i64,
    used_memory_mib: i64,
    used_containers: i64,
    last_seen: NaiveDateTime,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    removed_at: Option<NaiveDateTime>,
    disk_gib: i64,
    used_disk_gib: i64,
}

impl Row {
    pub(super) fn parse(self) -> Result<Record, DbError> {
        let name = parse("name", &self.uuid, &self.name)?;
        Ok(Record {
            number: self.id,
            total: Resources {
                cpus: Cpus::from_millis(u32::try_from(self.cpu_millis).unwrap_or(0)),
                memory: Mebibytes(u64::try_from(self.memory_mib).unwrap_or(0)),
            },
            disk: Gibibytes(u64::try_from(self.disk_gib).unwrap_or(0)),
            used: Usage {
                claimed: Resources {
                    cpus: Cpus::from_millis(
                        u32::try_from(self.used_cpu_millis).unwrap_or(u32::MAX),
                    ),
                    memory: Mebibytes(u64::try_from(self.used_memory_mib).unwrap_or(0)),
                },
                disk: Gibibytes(u64::try_from(self.used_disk_gib).unwrap_or(0)),
                containers: u64::try_from(self.used_containers).unwrap_or(0),
            },
            inventory: json_optional("inventory", &self.uuid, self.inventory.as_deref())?,
            engine_up: self.engine_up,
            console: json_optional("console", &self.uuid, self.console.as_deref())?,
            console_trouble: self.console_trouble,
            interval: i64::from(self.interval_seconds),
            leaving: self.leaving,
            disabled: self.disabled,
            disabled_reason: self.disabled_reason,
            forced_down: self.forced_down,
            report_count: self.report_count,
            epoch: Epoch(self.epoch),
            protocol: u32::try_from(self.protocol).unwrap_or(0),
            engine_id: self.engine_id,
            agent_state: self.agent_state,
            agent_boot: self.agent_boot,
            engine_data: self.engine_data,
            refusal: self.refusal,
            refused_at: self.refused_at,
            last_sequence: self.last_sequence,
            agent_sequence: self.agent_sequence,
            recovered_sequence: self.recovered_sequence,
            strays: json_optional("strays", &self.uuid, self.strays.as_deref())?
                .unwrap_or_default(),
            stray_limits: Resources {
                cpus: Cpus::from_millis(u32::try_from(self.stray_cpu_millis).unwrap_or(0)),
                memory: Mebibytes(u64::try_from(self.stray_memory_mib).unwrap_or(0)),
            },
            last_seen: self.last_seen,
            created_at: self.created_at,
            updated_at: self.updated_at,
            removed_at: self.removed_at,
            uuid: self.uuid,
            name,
        })
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, Utc};

    use super::*;

    fn host(interval: i64) -> Record {
        let now = Utc::now().naive_utc();
        Record {
            number: 1,
            uuid: "u".to_owned(),
            name: "h".parse().unwrap(),
            total: Resources::default(),
            disk: Gibibytes(0),
            used: Usage::default(),
            inventory: None,
            engine_up: true,
            console: None,
            console_trouble: None,
            interval,
            leaving: false,
            disabled: false,
            disabled_reason: None,
            forced_down: false,
            report_count: 1,
            epoch: Epoch(1),
            protocol: 2,
            engine_id: None,
            agent_state: None,
            agent_boot: None,
            engine_data: None,
            refusal: None,
            refused_at: None,
            last_sequence: 0,
            agent_sequence: None,
            recovered_sequence: 0,
            strays: Vec::new(),
            stray_limits: Resources::default(),
            last_seen: now,
            created_at: now,
            updated_at: now,
            removed_at: None,
        }
    }

    #[test]
    fn a_host_is_up_until_three_heartbeats_are_missed() {
        let host = host(5);
        assert_eq!(host.liveness(host.last_seen + TimeDelta::seconds(15)), Liveness::Up);
        assert_eq!(
            host.liveness(host.last_seen + TimeDelta::seconds(16)),
            Liveness::NoHeartbeat(16)
        );
    }

    #[test]
    fn a_heartbeat_of_the_future_does_not_make_a_host_up() {
        let host = host(5);
        assert_eq!(host.liveness(host.last_seen - TimeDelta::seconds(5)), Liveness::Up);
        let set_back = host.last_seen - TimeDelta::seconds(6);
        assert_eq!(host.liveness(set_back), Liveness::ClockSetBack);
    }

    #[test]
    fn a_host_that_leaves_is_down_at_once() {
        let host = Record { leaving: true, ..host(5) };
        assert_eq!(host.liveness(host.last_seen), Liveness::Left);
    }
}
