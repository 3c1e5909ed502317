//! Clients with tickets, which use the public name.

use std::time::Instant;

use hyper::StatusCode;
use hyper::http::request::Parts;
use tracing::info;
use zun_common::pty::{ClientHello, PROTOCOL, TICKET_PATH, Ticket};

use super::raw;
use super::request::UpgradeRequest;
use super::serve::{Admitted, Kind, Next, Server};
use crate::hub::Client;
use crate::rights::{Right, Rights, key_of};
use crate::session::KeyHash;

/// The query with which clients of OpenStack Zun present their ticket.
const TOKEN: &str = "token=";

impl Server {
    /// Decides a request, and connects the client to its session.
    pub(super) async fn admit_public(&self, head: &Parts) -> Result<Admitted, StatusCode> {
        if head.uri.path() != TICKET_PATH {
            return Err(StatusCode::NOT_FOUND);
        }
        if !self.origins.as_ref().is_some_and(|origins| origins.allow(&head.headers)) {
            return Err(StatusCode::FORBIDDEN);
        }
        let upgrade = UpgradeRequest::read(head)?;
        match head.uri.query() {
            None => self.admit_pty(upgrade).await,
            Some(query) => self.admit_raw(upgrade, query).await,
        }
    }

    /// A client of `zun.pty.v1`. It presents its ticket as a subprotocol, because browsers cannot set other headers.
    async fn admit_pty(&self, upgrade: UpgradeRequest<'_>) -> Result<Admitted, StatusCode> {
        let ticket = Ticket::of(upgrade.offered.iter().copied());
        let ticket = ticket.and_then(Result::ok).ok_or(StatusCode::FORBIDDEN)?;
        let hello = upgrade.hello()?;
        let next = if hello.resume.is_some() {
            self.opened(self.hub.resume(key_of(&ticket), &hello), Kind::Pty)?
        } else {
            self.use_up(&ticket, hello, Kind::Pty).await?
        };
        Ok(Admitted { key: upgrade.key, protocol: Some(PROTOCOL), next })
    }

    /// A client of OpenStack Zun. It presents its ticket in the URL, because it sends nothing else.
    async fn admit_raw(
        &self,
        upgrade: UpgradeRequest<'_>,
        query: &str,
    ) -> Result<Admitted, StatusCode> {
        let ticket = query.strip_prefix(TOKEN).ok_or(StatusCode::BAD_REQUEST)?;
        let ticket = ticket.parse().map_err(|_invalid| StatusCode::FORBIDDEN)?;
        let is_text = upgrade.offered.contains(&raw::BINARY);
        if !is_text && !upgrade.offered.is_empty() {
            return Err(StatusCode::BAD_REQUEST);
        }
        let next = self.use_up(&ticket, raw::hello(), Kind::Raw { is_text }).await?;
        let protocol = is_text.then_some(raw::BINARY);
        Ok(Admitted { key: upgrade.key, protocol, next })
    }

    /// Opens a session with a ticket.
    async fn use_up(
        &self,
        ticket: &Ticket,
        hello: ClientHello,
        kind: Kind,
    ) -> Result<Next, StatusCode> {
        let key = key_of(ticket);
        let Some(right) = self.rights.take(key, Instant::now()) else {
            return self.connect_again(key, hello, kind);
        };
        let Right { target, may_write, project, grant, files, .. } = right.clone();
        let mut used = Used { rights: &self.rights, key, right: Some(right) };
        info!(grant.id = %grant, project.id = %project, %target, "a ticket was used");
        let client = Client { grant, key, may_write, files, hello };
        let next = self.connect(&target, client, kind).await;
        if matches!(next, Ok(Next::Serve(_) | Next::ServeRaw(_))) {
            used.right = None;
        }
        next
    }

    /// A client whose link was lost just after it has used its ticket up presents the ticket again.
    fn connect_again(
        &self,
        key: KeyHash,
        hello: ClientHello,
        kind: Kind,
    ) -> Result<Next, StatusCode> {
        let used_up = self.rights.used_up(key, Instant::now());
        let (right, since) = used_up.ok_or(StatusCode::FORBIDDEN)?;
        let Right { target, may_write, grant, files, .. } = right;
        let client = Client { grant, key, may_write, files, hello };
        let connected = self.hub.connect_again(&target, client, since);
        self.opened(Ok(connected.map_err(|_unknown| StatusCode::FORBIDDEN)?), kind)
    }
}

/// A use of a ticket. It is given back on drop, even if the client has disconnected: its next request gets the session.
struct Used<'a> {
    rights: &'a Rights,
    key: KeyHash,
    right: Option<Right>,
}

impl Drop for Used<'_> {
    fn drop(&mut self) {
        if let Some(right) = self.right.take() {
            self.rights.give_back(self.key, right, Instant::now());
        }
    }
}
