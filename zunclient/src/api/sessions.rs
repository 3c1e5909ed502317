//! The calls of the API for sessions at console gates, and for what opens them.

use reqwest::Method;
use serde::Serialize;
use zun_common::api::v1::console::ConsoleTicket;
use zun_common::api::v1::session::{GrantList, RevokedGrant, SessionList};

use super::client::{SHORT_TIMEOUT, json};
use super::{ApiError, Client};

/// A request for a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TicketRequest {
    /// The exec; the container's own console if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec_id: Option<String>,
    /// Whether its clients may type: `rw` or `ro`.
    pub mode: &'static str,
    /// How long it opens sessions, in seconds.
    pub for_seconds: u64,
    /// How many sessions it opens.
    pub uses: u32,
    /// Whether its clients may copy files in and out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub files: bool,
}

impl Client {
    /// Requests a ticket for the console of a container or an exec.
    pub async fn console_ticket(
        &self,
        container: &str,
        ask: &TicketRequest,
    ) -> Result<ConsoleTicket, ApiError> {
        let request = self.request(Method::POST, &["containers", container, "console_ticket"])?;
        json(self.send(request.json(ask), SHORT_TIMEOUT).await?).await
    }

    /// Lists the sessions of the project.
    pub async fn sessions(&self) -> Result<SessionList, ApiError> {
        let request = self.request(Method::GET, &["sessions"])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Lists the grants and tickets of the project.
    pub async fn grants(&self) -> Result<GrantList, ApiError> {
        let request = self.request(Method::GET, &["grants"])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }

    /// Revokes a grant or ticket.
    pub async fn revoke(&self, grant: &str) -> Result<RevokedGrant, ApiError> {
        let request = self.request(Method::DELETE, &["grants", grant])?;
        json(self.send(request, SHORT_TIMEOUT).await?).await
    }
}
