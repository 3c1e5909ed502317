//! Hosts and agents for administrators and for the scheduler.

use std::collections::HashMap;

use chrono::{NaiveDateTime, Utc};
use zun_common::id::HostName;

use super::{App, AppError, Caller, Permission};
use crate::db::host::{Liveness, Record, Usage};
use crate::db::{Conn, DbError, host};
use crate::scheduler::HostView;

impl App {
    /// Returns all hosts with their claimed resources.
    pub(crate) async fn hosts(&self, caller: &Caller) -> Result<Vec<(Record, Usage)>, AppError> {
        caller.require(Permission::SeeHosts)?;
        Ok(self.db.read(with_usage).await?)
    }

    /// Returns one host, by name or id.
    pub(crate) async fn host(
        &self,
        caller: &Caller,
        ident: &str,
    ) -> Result<(Record, Usage), AppError> {
        let hosts = self.hosts(caller).await?;
        let named = |(host, _): &(Record, Usage)| host.name.as_str() == ident || host.uuid == ident;
        hosts
            .into_iter()
            .find(named)
            .ok_or_else(|| AppError::HostNotFound(ident.chars().take(80).collect()))
    }

    /// Returns all agents.
    pub(crate) async fn services(&self, caller: &Caller) -> Result<Vec<Record>, AppError> {
        caller.require(Permission::SeeServices)?;
        Ok(self.db.read(host::all).await?)
    }

    /// Returns an error if the host is down.
    pub(super) async fn require_up(&self, name: &HostName) -> Result<(), AppError> {
        let wanted = name.clone();
        let known = self.db.read(move |conn| host::by_name(conn, &wanted)).await?;
        let why = match known.map(|host| host.liveness(Utc::now().naive_utc())) {
            Some(Liveness::Up) => return Ok(()),
            Some(Liveness::Silent(seconds)) => format!("no heartbeat for {seconds} s"),
            Some(Liveness::Left) => "its agent has shut down".to_owned(),
            Some(Liveness::Forced) => "an administrator has marked it as down".to_owned(),
            None => "its agent has never reported".to_owned(),
        };
        Err(AppError::HostDown { host: name.clone(), why })
    }
}

fn with_usage(conn: &mut Conn) -> Result<Vec<(Record, Usage)>, DbError> {
    let hosts = host::all(conn)?;
    let mut usage = host::usage(conn)?;
    Ok(hosts
        .into_iter()
        .map(|host| {
            let used = usage.remove(host.name.as_str()).unwrap_or_default();
            (host, used)
        })
        .collect())
}

/// Returns the scheduler's view of each host. Must run in the transaction of the claim.
pub(super) fn views(conn: &mut Conn) -> Result<Vec<HostView>, DbError> {
    let now = Utc::now().naive_utc();
    let hosts = host::all(conn)?;
    let usage = host::usage(conn)?;
    Ok(hosts.into_iter().map(|host| view(host, &usage, now)).collect())
}

fn view(host: Record, usage: &HashMap<String, Usage>, now: NaiveDateTime) -> HostView {
    HostView {
        up: host.liveness(now) == Liveness::Up,
        enabled: !host.disabled,
        engine_up: host.engine_up,
        total: host.total,
        claimed: usage.get(host.name.as_str()).copied().unwrap_or_default().claimed,
        name: host.name,
    }
}
