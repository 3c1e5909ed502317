//! Sessions at the hosts' console gates, and the grants that opened them or may do so.
//!
//! None of this is in the database: only the gates know the sessions, so zun-api queries the hosts of the caller's
//! containers, many at once. Hosts that do not answer in time are named.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use zun_common::api::v1::session::{ActiveGrant, GrantList, RevokedGrant, Session, SessionList};
use zun_common::gate_control::{GateAttachment, GateRecordingTicket, GateTicket};
use zun_common::grant::Mode;
use zun_common::id::{ContainerId, GrantId, HostName};
use zun_common::rpc::console::{
    ConsoleSession, ConsoleSessions, ListSessions, RevokeGrant, Revoked, UsableTicket,
};

use super::ask_hosts::HostAnswers;
use super::{App, AppError, Caller};
use crate::db::container;

/// What the hosts have answered.
struct Found {
    /// The containers' names.
    names: BTreeMap<ContainerId, String>,
    hosts: HostAnswers<ConsoleSessions>,
}

impl Found {
    fn name(&self, container: ContainerId) -> String {
        self.names.get(&container).cloned().unwrap_or_default()
    }
}

impl App {
    /// Lists the sessions of the project.
    pub(crate) async fn sessions(&self, caller: &Caller) -> Result<SessionList, AppError> {
        let found = self.ask_gates(caller).await?;
        let now = Utc::now();
        let mut sessions = Vec::new();
        for (host, answer) in &found.hosts.answers {
            let shown =
                |session: &ConsoleSession| shown(session, host, found.name(session.container), now);
            sessions.extend(answer.sessions.iter().map(shown));
        }
        sessions.sort_by(|one, other| (one.since, &one.id).cmp(&(other.since, &other.id)));
        Ok(SessionList { sessions, unresponsive_hosts: found.hosts.unresponsive_hosts() })
    }

    /// Lists the grants and tickets of the project that have sessions, and tickets that can be used.
    pub(crate) async fn grants(&self, caller: &Caller) -> Result<GrantList, AppError> {
        let found = self.ask_gates(caller).await?;
        let grants = alive(&found, Utc::now()).into_values().collect();
        Ok(GrantList { grants, unresponsive_hosts: found.hosts.unresponsive_hosts() })
    }

    /// Revokes a grant or ticket of the project, and ends its sessions. Writes an audit log line.
    pub(crate) async fn revoke(
        &self,
        caller: &Caller,
        id: GrantId,
    ) -> Result<RevokedGrant, AppError> {
        let found = self.ask_gates(caller).await?;
        let Some(grant) = alive(&found, Utc::now()).remove(id.as_str()) else {
            return Err(found.hosts.not_found(AppError::GrantNotFound(id.to_string())));
        };
        let call = RevokeGrant { grant: id.clone() };
        let host = self.live_host(&grant.host).await?;
        let Revoked { sessions } = self.call_agent(caller, &host, &call).await?;
        tracing::info!(
            target: "audit",
            {
                grant.id = %id, container.id = %grant.container, host.name = %grant.host, sessions,
                user.id = %caller.identity.user, project.id = %caller.identity.project,
                request.id = %caller.context.request
            },
            "revoked {id}"
        );
        Ok(RevokedGrant { sessions })
    }

    /// Asks the hosts of the caller's containers.
    async fn ask_gates(&self, caller: &Caller) -> Result<Found, AppError> {
        let scope = caller.own_scope();
        let placed = self.db.read(move |conn| container::placed(conn, &scope)).await?;
        let mut by_host: BTreeMap<HostName, Vec<ContainerId>> = BTreeMap::new();
        let mut names = BTreeMap::new();
        for (id, name, host) in placed {
            by_host.entry(host).or_default().push(id);
            names.insert(id, name);
        }
        let calls =
            by_host.into_iter().map(|(host, containers)| (host, ListSessions { containers }));
        Ok(Found { names, hosts: self.ask_hosts(caller, calls).await })
    }
}

fn shown(
    session: &ConsoleSession,
    host: &HostName,
    container_name: String,
    now: DateTime<Utc>,
) -> Session {
    let ConsoleSession { container, exec, attachment } = session.clone();
    let GateAttachment {
        id,
        target: _,
        tty,
        grant,
        writes,
        connected,
        age,
        stdin,
        stdout,
        stderr,
        files: _,
    } = attachment;
    Session {
        id,
        container,
        container_name,
        exec_id: exec.map(|exec| exec.to_string()),
        host: host.clone(),
        tty,
        mode: mode(writes).to_owned(),
        grant,
        connected,
        since: now - Duration::from_secs(age),
        stdin_bytes: stdin,
        stdout_bytes: stdout,
        stderr_bytes: stderr,
    }
}

const fn mode(writes: bool) -> &'static str {
    if writes { Mode::ReadWrite.as_str() } else { Mode::ReadOnly.as_str() }
}

/// The grants and tickets, by their IDs.
fn alive(found: &Found, now: DateTime<Utc>) -> BTreeMap<String, ActiveGrant> {
    let mut grants: BTreeMap<String, ActiveGrant> = BTreeMap::new();
    for (host, ConsoleSessions { sessions, tickets, recordings }) in &found.hosts.answers {
        for ticket in recordings {
            let GateRecordingTicket { grant, recording, container, seconds } = ticket.clone();
            let ticket = ActiveGrant {
                id: grant.clone(),
                container,
                container_name: found.name(container),
                exec_id: None,
                recording_id: Some(recording),
                host: host.clone(),
                mode: Mode::ReadOnly.as_str().to_owned(),
                files: false,
                sessions: 0,
                uses: Some(1),
                expires_at: Some(now + Duration::from_secs(seconds)),
            };
            grants.insert(grant, ticket);
        }
        for UsableTicket { container, exec, ticket } in tickets {
            let GateTicket { grant, target: _, mode, uses, seconds, files } = ticket.clone();
            let ticket = ActiveGrant {
                id: grant.clone(),
                container: *container,
                container_name: found.name(*container),
                exec_id: exec.as_ref().map(ToString::to_string),
                recording_id: None,
                host: host.clone(),
                mode: mode.as_str().to_owned(),
                files,
                sessions: 0,
                uses: Some(uses),
                expires_at: Some(now + Duration::from_secs(seconds)),
            };
            grants.insert(grant, ticket);
        }
        for ConsoleSession { container, exec, attachment } in sessions {
            // An exec that runs without clients.
            if attachment.grant.is_empty() {
                continue;
            }
            let grant = grants.entry(attachment.grant.clone()).or_insert_with(|| ActiveGrant {
                id: attachment.grant.clone(),
                container: *container,
                container_name: found.name(*container),
                exec_id: exec.as_ref().map(ToString::to_string),
                recording_id: None,
                host: host.clone(),
                mode: mode(attachment.writes).to_owned(),
                files: attachment.files,
                sessions: 0,
                uses: None,
                expires_at: None,
            });
            grant.sessions += 1;
        }
    }
    grants
}
