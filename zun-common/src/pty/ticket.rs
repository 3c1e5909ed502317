//! Tickets: secrets that take the place of a client certificate, for clients that cannot have one. A ticket opens a
//! limited number of sessions within a limited time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The path of a session with a ticket. The ticket determines the container or exec.
pub const TICKET_PATH: &str = "/v1/console";
/// The path at which a client with a ticket copies files.
pub const ARCHIVE_PATH: &str = "/v1/console/archive";

/// The prefix of the subprotocol that carries a ticket. Browsers cannot set other headers.
const TICKET: &str = "zun.ticket.";

/// The longest life of a ticket.
pub const LONGEST_LIFE: Duration = Duration::from_hours(1);
/// The most sessions that a ticket may open.
pub const MOST_USES: u32 = 100;

/// The length of a ticket in characters: 256 bits in base64url.
const LENGTH: usize = 43;

/// A secret that opens a console. The gate that issued it keeps only its hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ticket(String);

/// The text is not a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ticket has {LENGTH} characters of base64url")]
pub struct InvalidTicket;

impl Ticket {
    /// Its text, for an answer or a request. It must not be logged.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns the subprotocol that carries it. It must not be logged.
    pub fn subprotocol(&self) -> String {
        format!("{TICKET}{}", self.0)
    }

    /// Finds the ticket among the offered subprotocols. `None` if there is none.
    pub fn of<'a>(
        offered: impl IntoIterator<Item = &'a str>,
    ) -> Option<Result<Self, InvalidTicket>> {
        let text = offered.into_iter().find_map(|offer| offer.strip_prefix(TICKET))?;
        Some(text.parse())
    }
}

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        let in_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let valid = text.len() == LENGTH && text.bytes().all(in_base64url);
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidTicket) }
    }
}

impl TryFrom<String> for Ticket {
    type Error = InvalidTicket;

    fn try_from(text: String) -> Result<Self, InvalidTicket> {
        text.parse()
    }
}

impl From<Ticket> for String {
    fn from(ticket: Ticket) -> Self {
        ticket.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Ticket(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_found_among_the_offered_subprotocols_and_not_shown() {
        let text = "A".repeat(LENGTH);
        let ticket: Ticket = text.parse().unwrap();
        let offer = ticket.subprotocol();
        assert_eq!(Ticket::of(["zun.pty.v1", &offer]), Some(Ok(ticket.clone())));
        assert_eq!(Ticket::of(["zun.pty.v1"]), None);
        assert_eq!(Ticket::of(["zun.ticket.short"]), Some(Err(InvalidTicket)));
        assert!(!format!("{ticket:?}").contains("AA"));
        let foreign = "A".repeat(LENGTH - 1) + ";";
        assert_eq!(foreign.parse::<Ticket>(), Err(InvalidTicket));
    }
}
