//! The places of a session's clients. Their number is limited, including disconnected clients that may resume. A new client
//! can replace such a client.

use std::time::Instant;

use super::{AttachmentId, JoinRefused, Session};

/// One of this many places is kept free of the clients of any single grant, such as a link that was given to many people.
const KEPT_FREE: usize = 8;

/// A new client that needs a place.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer<'a> {
    /// The ID of its grant.
    pub grant: &'a str,
    /// Whether the grant allows input.
    pub may_write: bool,
}

/// A disconnected client. The smallest one is replaced first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disconnected {
    /// Whether its grant is not that of the newcomer.
    of_another: bool,
    may_write: bool,
    since: Instant,
    id: AttachmentId,
}

impl Session {
    /// Makes room for a new client, if it can.
    pub(super) fn make_room(&mut self, newcomer: Newcomer<'_>) -> Result<(), JoinRefused> {
        let most = self.limits.attachments;
        let kept_free = most / KEPT_FREE;
        let of_grant =
            self.attachments.values().filter(|found| found.grant == newcomer.grant).count();
        if kept_free > 0 && of_grant >= most - kept_free {
            let own = self.replaceable(newcomer).filter(|found| !found.of_another);
            self.replace(own.ok_or(JoinRefused::FullForGrant)?);
        } else if self.attachments.len() >= most {
            self.replace(self.replaceable(newcomer).ok_or(JoinRefused::Full)?);
        }
        Ok(())
    }

    /// The disconnected client that a new one replaces: one of the same grant first, then one that may not type, then the
    /// one that has been disconnected longest. A client that may not type never replaces another grant's client that may.
    pub fn replaceable(&self, newcomer: Newcomer<'_>) -> Option<Disconnected> {
        let disconnected = self.attachments.iter().filter_map(|(id, found)| {
            let since = found.lost_at.filter(|_| found.connection.is_none())?;
            let of_another = found.grant != newcomer.grant;
            Some(Disconnected { of_another, may_write: found.may_write, since, id: *id })
        });
        disconnected
            .filter(|found| !found.of_another || !found.may_write || newcomer.may_write)
            .min()
    }

    /// Ends the attachment of a client, unless it has resumed. Returns whether it was ended.
    pub fn replace(&mut self, Disconnected { id, .. }: Disconnected) -> bool {
        let found = self.attachments.get(&id).filter(|found| found.connection.is_none());
        let Some(wrote) = found.map(|found| found.writes && found.confirmed) else { return false };
        self.remove_attachment(id, "replaced by another client");
        if wrote {
            self.end_stdin_without_writers();
        }
        true
    }
}
