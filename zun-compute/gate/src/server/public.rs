//! Clients with tickets, which use the public name.

use std::time::Instant;

use hyper::StatusCode;
use hyper::http::request::Parts;
use tracing::info;
use zun_common::pty::{PROTOCOL, TICKET_PATH, Ticket};

use super::request::UpgradeRequest;
use super::serve::{Admitted, Server};
use crate::hub::Client;
use crate::rights::{Right, key_of};

impl Server {
    /// Decides a request, and connects the client to its session.
    pub(super) async fn admit_public(&self, head: &Parts) -> Result<Admitted, StatusCode> {
        if head.uri != TICKET_PATH {
            return Err(StatusCode::NOT_FOUND);
        }
        if !self.origins.as_ref().is_some_and(|origins| origins.allow(&head.headers)) {
            return Err(StatusCode::FORBIDDEN);
        }
        let upgrade = UpgradeRequest::read(head)?;
        let ticket = Ticket::of(upgrade.offered.iter().copied());
        let ticket = ticket.and_then(Result::ok).ok_or(StatusCode::FORBIDDEN)?;
        let hello = upgrade.hello()?;
        let key = key_of(&ticket);
        let next = if hello.resume.is_some() {
            self.opened(self.hub.resume(key, &hello))?
        } else {
            let right = self.rights.take(key, Instant::now()).ok_or(StatusCode::FORBIDDEN)?;
            let Right { target, may_write, project, grant, .. } = right;
            info!(grant.id = %grant, project.id = %project, %target, "a ticket was used");
            self.connect(&target, Client { grant, key, may_write, hello }).await?
        };
        Ok(Admitted { key: upgrade.key, protocol: Some(PROTOCOL), next })
    }
}
