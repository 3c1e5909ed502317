//! Services: the agents of the hosts, for administrators. And availability zones, for everybody.

use std::collections::BTreeSet;

use zun_common::id::HostName;

use super::{App, AppError, Caller, Permission, hosts};
use crate::db::host::{self, Liveness, Record, Removed};

/// The only service that sends heartbeats.
pub(crate) const AGENT: &str = "zun-compute";

/// A service, as a request names it.
#[derive(Debug, Clone)]
pub(crate) struct ServiceName {
    pub(crate) host: String,
    pub(crate) binary: String,
}

/// A change of a service.
#[derive(Debug, Clone)]
pub(crate) enum ServiceChange {
    /// The host takes new containers.
    Enable,
    /// The host takes no new containers. Those that it has stay and can be used.
    Disable {
        /// Why, for other administrators.
        reason: Option<String>,
    },
    /// The host counts as down, even if it reports.
    ForceDown,
    /// The host counts as up while its heartbeats come.
    AllowUp,
}

impl ServiceChange {
    const fn permission(&self) -> Permission {
        match self {
            Self::Enable => Permission::EnableService,
            Self::Disable { .. } => Permission::DisableService,
            Self::ForceDown | Self::AllowUp => Permission::ForceDownService,
        }
    }

    const fn past(&self) -> &'static str {
        match self {
            Self::Enable => "enabled",
            Self::Disable { .. } => "disabled",
            Self::ForceDown => "forced down",
            Self::AllowUp => "no longer forced down",
        }
    }
}

impl App {
    /// Returns all agents, and whether each is alive.
    pub(crate) async fn services(
        &self,
        caller: &Caller,
    ) -> Result<Vec<(Record, Liveness)>, AppError> {
        caller.require(Permission::SeeServices)?;
        Ok(self.db.read(hosts::with_liveness).await?)
    }

    /// Changes a service, and returns it.
    pub(crate) async fn change_service(
        &self,
        caller: &Caller,
        service: ServiceName,
        change: ServiceChange,
    ) -> Result<Record, AppError> {
        caller.require(change.permission())?;
        let name = service.agent_host()?;
        let past = change.past();
        let changed = self
            .db
            .write_durable(move |conn| match &change {
                ServiceChange::Enable => host::set_disabled(conn, &name, (false, None)),
                ServiceChange::Disable { reason } => {
                    host::set_disabled(conn, &name, (true, reason.as_deref()))
                }
                ServiceChange::ForceDown => host::set_forced_down(conn, &name, true),
                ServiceChange::AllowUp => host::set_forced_down(conn, &name, false),
            })
            .await?;
        let record = changed.ok_or_else(|| service.not_found())?;
        audit(caller, &record.name, past);
        Ok(record)
    }

    /// Deletes a service whose host does not return. It comes back by itself if its agent reports again.
    pub(crate) async fn delete_service(
        &self,
        caller: &Caller,
        service: ServiceName,
    ) -> Result<(), AppError> {
        caller.require(Permission::DeleteService)?;
        let name = service.agent_host()?;
        let removed = {
            let name = name.clone();
            self.db.write_durable(move |conn| host::remove(conn, &name)).await?
        };
        let why = match removed {
            Removed::Done => {
                audit(caller, &name, "deleted");
                return Ok(());
            }
            Removed::Missing => return Err(service.not_found()),
            Removed::Running => {
                "its agent is running; stop zun-compute on the host first".to_owned()
            }
            Removed::HasContainers(count) => {
                format!("the host has containers ({count}); delete them first")
            }
        };
        Err(AppError::ServiceInUse { host: name, why })
    }

    /// Returns the availability zones that hosts are in, in order.
    pub(crate) async fn availability_zones(&self) -> Result<BTreeSet<String>, AppError> {
        let hosts = self.db.read(host::all).await?;
        Ok(hosts.iter().map(|host| host.availability_zone().to_owned()).collect())
    }
}

impl ServiceName {
    /// Returns the host of an agent. Other services are not known.
    fn agent_host(&self) -> Result<HostName, AppError> {
        let host = Some(&self.host).filter(|_| self.binary == AGENT);
        host.and_then(|host| host.parse().ok()).ok_or_else(|| self.not_found())
    }

    fn not_found(&self) -> AppError {
        let short = |text: &str| text.chars().take(80).collect();
        AppError::ServiceNotFound { host: short(&self.host), binary: short(&self.binary) }
    }
}

fn audit(caller: &Caller, host: &HostName, what: &str) {
    tracing::info!(
        target: "audit",
        { host.name = %host, request.id = %caller.context.request, user.id = %caller.identity.user },
        "the service on host {host} was {what}"
    );
}
