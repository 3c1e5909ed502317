//! Hosts for administrators and for the scheduler.

use std::collections::BTreeSet;

use zun_common::units::{Cpus, Mebibytes, Resources};

use super::containers::several_begin_so;
use super::{App, AppError, Caller, Permission};
use crate::db::host::{Liveness, Record};
use crate::db::{Conn, DbError, container, host, now};
use crate::scheduler::HostView;

impl App {
    /// Returns all hosts with their claimed resources, and whether the agent of each is alive.
    pub(crate) async fn hosts(&self, caller: &Caller) -> Result<Vec<(Record, Liveness)>, AppError> {
        caller.require(Permission::SeeHosts)?;
        Ok(self.db.read(with_liveness).await?)
    }

    /// Returns one host, by name, ID, or a unique beginning of its ID.
    pub(crate) async fn host(
        &self,
        caller: &Caller,
        ident: &str,
    ) -> Result<(Record, Liveness), AppError> {
        let hosts = self.hosts(caller).await?;
        let named = |host: &Record| host.name.as_str() == ident || host.uuid == ident;
        if let Some(found) = hosts.iter().find(|(host, _)| named(host)) {
            return Ok(found.clone());
        }
        let begins = |host: &Record| !ident.is_empty() && host.uuid.starts_with(ident);
        let mut found = hosts.into_iter().filter(|(host, _)| begins(host));
        match (found.next(), found.next()) {
            (Some(host), None) => Ok(host),
            (None, _) => Err(AppError::HostNotFound(ident.chars().take(80).collect())),
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(found);
                let named = all.map(|(host, _)| format!("{} ({})", host.uuid, host.name));
                Err(several_begin_so("hosts", ident, named))
            }
        }
    }
}

/// Returns an error if the host's agent is older than this protocol.
pub(super) fn require_protocol(host: &Record, least: u32) -> Result<(), AppError> {
    if host.protocol >= least {
        return Ok(());
    }
    let words = "The agent of the host is too old for this request: upgrade zun-compute.";
    Err(AppError::NotSupported(words))
}

fn sum(one: Resources, other: Resources) -> Resources {
    let millis = one.cpus.millis().saturating_add(other.cpus.millis());
    let memory = one.memory.0.saturating_add(other.memory.0);
    Resources { cpus: Cpus::from_millis(millis), memory: Mebibytes(memory) }
}

/// The state reason for administrators: why the host is down or recovering, or why another agent was refused. `None` if
/// there is none.
pub(crate) fn state_reason(host: &Record, liveness: Liveness) -> Option<String> {
    match liveness {
        Liveness::Up if host.is_recovering() => Some(format!(
            "zun-api's database was restored from a copy that is older than what this host has carried out. The host \
             reports its containers, but carries out no operations until an administrator runs `zun host recover {}`",
            host.name
        )),
        Liveness::Up => host.recent_refusal().map(refused),
        Liveness::NoHeartbeat(seconds) => {
            Some(with_refusal(format!("no heartbeat for {seconds} s"), host))
        }
        Liveness::ClockSetBack => {
            let words = "no heartbeat since the clock of zun-api's database was set back";
            Some(with_refusal(words.to_owned(), host))
        }
        Liveness::Left => Some(with_refusal("its agent has shut down".to_owned(), host)),
        Liveness::Forced => Some("an administrator has marked it as down".to_owned()),
    }
}

fn refused(words: &str) -> String {
    format!("another agent was refused: {words}")
}

fn with_refusal(why: String, host: &Record) -> String {
    match host.recent_refusal() {
        Some(words) => format!("{why}; {}", refused(words)),
        None => why,
    }
}

/// By the database's clock, which has stamped the heartbeats.
pub(super) fn with_liveness(conn: &mut Conn) -> Result<Vec<(Record, Liveness)>, DbError> {
    let now = now(conn)?;
    let mut hosts = host::all(conn)?;
    for host in &mut hosts {
        leave_out_known(conn, host)?;
    }
    let judged = hosts.into_iter().map(|host| {
        let liveness = host.liveness(now);
        (host, liveness)
    });
    Ok(judged.collect())
}

/// Drops strays that the database knows by now, and deleted containers that are about to be removed again.
fn leave_out_known(conn: &mut Conn, host: &mut Record) -> Result<(), DbError> {
    if host.strays.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = host.strays.iter().map(|one| one.container).collect();
    let known = container::by_ids(conn, &ids)?;
    host.strays.retain(|stray| known.iter().all(|(id, _)| *id != stray.container));
    Ok(())
}

/// Returns the scheduler's view of each host. Another transaction can claim the resources that it shows as free.
pub(super) fn views(conn: &mut Conn) -> Result<Vec<HostView>, DbError> {
    let view = |(host, liveness): (Record, Liveness)| {
        let (zone, enabled) =
            (host.availability_zone().to_owned(), !host.disabled && !host.is_recovering());
        let inventory = host.inventory.map(|inventory| (inventory.runtimes, inventory.labels));
        let (runtimes, labels) = inventory.unwrap_or_default();
        HostView {
            up: liveness == Liveness::Up,
            enabled,
            engine_up: host.engine_up,
            total: host.total,
            claimed: sum(host.used.claimed, host.stray_limits),
            disk: (host.disk, host.used.disk),
            labels,
            neighbours: BTreeSet::new(),
            protocol: host.protocol,
            zone,
            ports: None,
            lacks: None,
            has_image: false,
            lacks_image: false,
            networks: 0,
            has_subnet: false,
            runtimes,
            name: host.name,
        }
    };
    Ok(with_liveness(conn)?.into_iter().map(view).collect())
}
