//! The rights that the gate keeps itself: tickets that it has issued, and revoked grants. It keeps only the hash of a
//! ticket.

mod kept;
mod recordings;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use zun_common::gate_control::{GateTicket, TicketRequest};
use zun_common::grant::Mode;
use zun_common::id::{EngineId, ProjectId};
use zun_common::pty::Ticket;
use zun_common::pty::ticket::{LONGEST_LIFE, MOST_USES};

use crate::engine::Target;
use crate::session::{KeyHash, Token, UNCONFIRMED_TIMEOUT};
use kept::Kept;
pub use recordings::RecordingRight;

/// The most unused tickets.
const MOST_TICKETS: usize = 10_000;
/// The most unused tickets of one project, so that other projects can still get some.
const MOST_OF_PROJECT: usize = 500;
/// The most revoked grants that are remembered.
const MOST_REVOKED: usize = 10_000;
/// How long a revoked grant is remembered: longer than its certificate is valid.
const REMEMBERED: Duration = Duration::from_mins(10);

/// Tickets and revoked grants. The next process of the gate gets them, if the descriptor store keeps them.
#[derive(Debug, Default)]
pub struct Rights {
    state: Mutex<State>,
    /// Notified of each revocation.
    revocations: Notify,
    /// Where they are kept.
    kept: Mutex<Option<Kept>>,
}

#[derive(Debug, Default)]
struct State {
    /// Tickets that can be used, by their hashes.
    tickets: HashMap<[u8; 32], Right>,
    /// Tickets for recordings that can be used, by their hashes.
    recordings: HashMap<[u8; 32], RecordingRight>,
    /// Revoked grants, and since when.
    revoked: HashMap<String, Instant>,
    /// Tickets that were just used up, and since when: for a while, their clients may ask for the same session again.
    used_up: HashMap<[u8; 32], (Right, Instant)>,
}

/// What a ticket gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// What it opens.
    pub target: Target,
    /// Whether its client may send input.
    pub may_write: bool,
    /// The project of the target.
    pub project: ProjectId,
    /// The ID of the ticket.
    pub grant: String,
    /// The container whose files its client may copy.
    pub files: Option<EngineId>,
    expires: Instant,
    uses: u32,
}

/// Why there is no ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoTicket {
    /// A number is out of range.
    #[error(
        "a ticket must open from 1 to {MOST_USES} sessions, for 1 to {} seconds",
        LONGEST_LIFE.as_secs()
    )]
    OutOfRange,
    /// Its ID was revoked.
    #[error("the ticket's ID was revoked")]
    Revoked,
    /// There are too many tickets.
    #[error("the gate or the project has too many valid tickets: try again when some have expired")]
    TooMany,
    /// There are no random numbers.
    #[error("cannot create a ticket: the system's random number generator failed")]
    NoRandomness,
}

/// The gate cannot remember more revoked grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gate cannot remember more revoked grants: try again in a few minutes")]
pub struct TooManyRevoked;

/// The hash of a ticket. It identifies a client instead of a key.
pub fn key_of(ticket: &Ticket) -> KeyHash {
    // The prefix is hashed too, so that the result never equals the hash of a public key.
    KeyHash::of(ticket.subprotocol().as_bytes())
}

fn random() -> Result<Ticket, NoTicket> {
    let token = Token::random().map_err(|_none| NoTicket::NoRandomness)?;
    token.into_text().parse().map_err(|_another_length| NoTicket::NoRandomness)
}

impl State {
    /// Checks whether the project may get another ticket, with this ID and this life in seconds. Returns the life.
    fn admit(&self, grant: &str, project: &ProjectId, seconds: u32) -> Result<Duration, NoTicket> {
        let life = Duration::from_secs(seconds.into());
        if life.is_zero() || life > LONGEST_LIFE {
            return Err(NoTicket::OutOfRange);
        }
        if self.revoked.contains_key(grant) {
            return Err(NoTicket::Revoked);
        }
        if !self.has_room(project) {
            return Err(NoTicket::TooMany);
        }
        Ok(life)
    }

    fn has_room(&self, project: &ProjectId) -> bool {
        let sessions = self.tickets.values().map(|right| &right.project);
        let projects = sessions.chain(self.recordings.values().map(|right| &right.project));
        let of_project = projects.filter(|of| *of == project).count();
        self.tickets.len() + self.recordings.len() < MOST_TICKETS && of_project < MOST_OF_PROJECT
    }
}

impl Rights {
    /// Issues a ticket.
    pub fn issue(&self, request: TicketRequest, now: Instant) -> Result<Ticket, NoTicket> {
        let TicketRequest { target, mode, project, grant, seconds, uses, files } = request;
        if !(1..=MOST_USES).contains(&uses) {
            return Err(NoTicket::OutOfRange);
        }
        let mut state = self.state(now);
        let life = state.admit(&grant, &project, seconds)?;
        let ticket = random()?;
        let may_write = mode == Mode::ReadWrite;
        let files = files.filter(|_| may_write);
        let expires = now + life;
        let right = Right { target, may_write, project, grant, files, expires, uses };
        state.tickets.insert(key_of(&ticket).to_bytes(), right);
        self.keep(&state);
        Ok(ticket)
    }

    /// Uses a ticket for a session.
    pub fn take(&self, key: KeyHash, now: Instant) -> Option<Right> {
        let mut state = self.state(now);
        let right = state.tickets.get_mut(&key.to_bytes())?;
        right.uses -= 1;
        let taken = right.clone();
        if taken.uses == 0 {
            state.tickets.remove(&key.to_bytes());
            if state.used_up.len() < MOST_TICKETS {
                state.used_up.insert(key.to_bytes(), (taken.clone(), now));
            }
        }
        self.keep(&state);
        Some(taken)
    }

    /// What the last use of a ticket has opened, and when, if that was just now. Its client may not know of it, because its
    /// link was lost.
    pub fn used_up(&self, key: KeyHash, now: Instant) -> Option<(Right, Instant)> {
        self.state(now).used_up.get(&key.to_bytes()).cloned()
    }

    /// Gives back a use that opened no session.
    pub fn give_back(&self, key: KeyHash, right: Right, now: Instant) {
        let mut state = self.state(now);
        state.used_up.remove(&key.to_bytes());
        if right.expires > now && !state.revoked.contains_key(&right.grant) {
            let kept = state.tickets.entry(key.to_bytes()).or_insert(Right { uses: 0, ..right });
            kept.uses += 1;
            self.keep(&state);
        }
    }

    /// All tickets that can be used.
    pub fn tickets(&self, now: Instant) -> Vec<GateTicket> {
        let state = self.state(now);
        let shown = |right: &Right| GateTicket {
            grant: right.grant.clone(),
            target: right.target.clone(),
            mode: if right.may_write { Mode::ReadWrite } else { Mode::ReadOnly },
            uses: right.uses,
            seconds: right.expires.saturating_duration_since(now).as_secs(),
            files: right.files.is_some(),
        };
        let mut tickets: Vec<_> = state.tickets.values().map(shown).collect();
        tickets.sort_by(|one, other| one.grant.cmp(&other.grant));
        tickets
    }

    /// Whether the grant or ticket with this ID was revoked.
    pub fn is_revoked(&self, grant: &str, now: Instant) -> bool {
        self.state(now).revoked.contains_key(grant)
    }

    /// Waits until the grant or ticket with this ID is revoked.
    pub async fn until_revoked(&self, grant: &str) {
        loop {
            let revocation = self.revocations.notified();
            if self.is_revoked(grant, Instant::now()) {
                return;
            }
            revocation.await;
        }
    }

    /// Revokes the grant or ticket with this ID. A ticket is dropped even if this fails.
    pub fn revoke(&self, grant: &str, now: Instant) -> Result<(), TooManyRevoked> {
        let mut state = self.state(now);
        state.tickets.retain(|_, right| right.grant != grant);
        state.recordings.retain(|_, right| right.grant != grant);
        state.used_up.retain(|_, (right, _)| right.grant != grant);
        let is_full = state.revoked.len() >= MOST_REVOKED && !state.revoked.contains_key(grant);
        if !is_full {
            state.revoked.insert(grant.to_owned(), now);
        }
        self.keep(&state);
        drop(state);
        self.revocations.notify_waiters();
        if is_full { Err(TooManyRevoked) } else { Ok(()) }
    }

    /// The present state, without what has expired.
    fn state(&self, now: Instant) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.tickets.retain(|_, right| right.expires > now);
        state.recordings.retain(|_, right| right.expires > now);
        let is_new = |since| now.saturating_duration_since(since) < UNCONFIRMED_TIMEOUT;
        state.used_up.retain(|_, (_, since)| is_new(*since));
        state.revoked.retain(|_, since| now.saturating_duration_since(*since) < REMEMBERED);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn request() -> TicketRequest {
        TicketRequest {
            target: Target::Container("ab".repeat(32).parse().unwrap()),
            mode: Mode::ReadOnly,
            project: "p1".parse().unwrap(),
            grant: "t1".to_owned(),
            seconds: 60,
            uses: 1,
            files: None,
        }
    }

    #[test]
    fn a_ticket_opens_as_many_sessions_as_it_says_and_only_in_time() {
        let (rights, now) = (Rights::default(), Instant::now());
        let once = key_of(&rights.issue(request(), now).unwrap());
        let right = rights.take(once, now).unwrap();
        assert_eq!((right.may_write, right.grant.as_str()), (false, "t1"));
        assert_eq!(rights.take(once, now), None);
        assert_eq!(rights.used_up(once, now).map(|(right, _)| right.grant).as_deref(), Some("t1"));
        assert_eq!(rights.used_up(once, now + UNCONFIRMED_TIMEOUT), None);
        let twice = TicketRequest { uses: 2, ..request() };
        let twice = key_of(&rights.issue(twice, now).unwrap());
        assert!(rights.take(twice, now).is_some() && rights.take(twice, now).is_some());
        assert_eq!(rights.take(twice, now), None);
        let late = key_of(&rights.issue(request(), now).unwrap());
        assert_eq!(rights.take(late, now + Duration::from_mins(1)), None);
        assert_eq!(rights.take(KeyHash::of(b"another"), now), None);
    }

    #[test]
    fn a_use_that_opened_no_session_is_given_back_unless_the_ticket_was_revoked() {
        let (rights, now) = (Rights::default(), Instant::now());
        for uses in [1, 2] {
            let key = key_of(&rights.issue(TicketRequest { uses, ..request() }, now).unwrap());
            let right = rights.take(key, now).unwrap();
            rights.give_back(key, right.clone(), now);
            assert_eq!(rights.tickets(now).first().map(|ticket| ticket.uses), Some(uses));
            assert!(rights.take(key, now).is_some());
            rights.revoke("t1", now).unwrap();
            rights.give_back(key, right, now);
            assert_eq!(rights.take(key, now), None);
            *rights.state.lock().unwrap() = State::default();
        }
    }

    #[test]
    fn a_project_with_many_tickets_leaves_room_for_others() {
        let (rights, now) = (Rights::default(), Instant::now());
        for _ in 0..MOST_OF_PROJECT {
            rights.issue(request(), now).unwrap();
        }
        assert_eq!(rights.issue(request(), now), Err(NoTicket::TooMany));
        let other = TicketRequest { project: "p2".parse().unwrap(), ..request() };
        assert!(rights.issue(other, now).is_ok());
    }

    #[test]
    fn a_revoked_ticket_opens_nothing_and_its_id_gets_no_other() {
        let (rights, now) = (Rights::default(), Instant::now());
        let key = key_of(&rights.issue(request(), now).unwrap());
        let used = key_of(&rights.issue(request(), now).unwrap());
        assert!(rights.take(used, now).is_some() && rights.used_up(used, now).is_some());
        rights.revoke("t1", now).unwrap();
        assert_eq!((rights.take(key, now), rights.used_up(used, now)), (None, None));
        assert!(rights.is_revoked("t1", now) && !rights.is_revoked("t2", now));
        assert_eq!(rights.issue(request(), now), Err(NoTicket::Revoked));
        assert!(!rights.is_revoked("t1", now + REMEMBERED));
    }

    #[test]
    fn numbers_out_of_range_are_refused_and_tickets_are_bounded() {
        let (rights, now) = (Rights::default(), Instant::now());
        for (seconds, uses) in [(0, 1), (3601, 1), (60, 0), (60, MOST_USES + 1)] {
            let refused = rights.issue(TicketRequest { seconds, uses, ..request() }, now);
            assert_eq!(refused, Err(NoTicket::OutOfRange), "{seconds} s, {uses} uses");
        }
        for _ in 0..MOST_TICKETS {
            rights.state.lock().unwrap().tickets.insert(
                Token::random().unwrap().hash().to_bytes(),
                Right {
                    target: request().target,
                    may_write: true,
                    project: request().project,
                    grant: "t1".to_owned(),
                    files: None,
                    expires: now + Duration::from_secs(1),
                    uses: 1,
                },
            );
        }
        assert_eq!(rights.issue(request(), now), Err(NoTicket::TooMany));
        assert!(rights.issue(request(), now + Duration::from_secs(1)).is_ok());
    }
}
