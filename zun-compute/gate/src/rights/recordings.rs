//! Tickets for recordings. Each is for one recording, and can be used once.

use std::time::Instant;

use zun_common::gate_control::{GateRecordingTicket, RecordingTicketRequest};
use zun_common::id::{ContainerId, ProjectId, RecordingId};
use zun_common::pty::Ticket;

use super::{NoTicket, Rights, key_of, random};
use crate::session::KeyHash;

/// What a ticket for a recording gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingRight {
    /// The recording that it is for.
    pub recording: RecordingId,
    /// The ID of the ticket.
    pub grant: String,
    pub(super) container: ContainerId,
    pub(super) project: ProjectId,
    pub(super) expires: Instant,
}

impl Rights {
    /// Issues a ticket for a recording of this container.
    pub fn issue_for_recording(
        &self,
        (recording, container): (RecordingId, ContainerId),
        request: RecordingTicketRequest,
        now: Instant,
    ) -> Result<Ticket, NoTicket> {
        let RecordingTicketRequest { project, grant, seconds } = request;
        let mut state = self.state(now);
        let life = state.admit(&grant, &project, seconds)?;
        let ticket = random()?;
        let right = RecordingRight { recording, grant, container, project, expires: now + life };
        state.recordings.insert(key_of(&ticket).to_bytes(), right);
        self.keep(&state);
        Ok(ticket)
    }

    /// Uses a ticket for this recording. One for another recording stays unused.
    pub fn take_for_recording(
        &self,
        key: KeyHash,
        recording: RecordingId,
        now: Instant,
    ) -> Option<RecordingRight> {
        let mut state = self.state(now);
        state.recordings.get(&key.to_bytes()).filter(|right| right.recording == recording)?;
        let taken = state.recordings.remove(&key.to_bytes());
        self.keep(&state);
        taken
    }

    /// Gives back a ticket with which nothing was read.
    pub fn give_back_for_recording(&self, key: KeyHash, right: RecordingRight, now: Instant) {
        let mut state = self.state(now);
        if right.expires > now && !state.revoked.contains_key(&right.grant) {
            state.recordings.insert(key.to_bytes(), right);
            self.keep(&state);
        }
    }

    /// All tickets for recordings that can be used.
    pub fn recording_tickets(&self, now: Instant) -> Vec<GateRecordingTicket> {
        let shown = |right: &RecordingRight| GateRecordingTicket {
            grant: right.grant.clone(),
            recording: right.recording,
            container: right.container,
            seconds: right.expires.saturating_duration_since(now).as_secs(),
        };
        let mut tickets: Vec<_> = self.state(now).recordings.values().map(shown).collect();
        tickets.sort_by(|one, other| one.grant.cmp(&other.grant));
        tickets
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::MOST_OF_PROJECT;
    use super::super::tests::request;
    use super::*;

    pub(in super::super) fn asked() -> RecordingTicketRequest {
        let project = "p1".parse().expect("a project");
        RecordingTicketRequest { project, grant: "t1".to_owned(), seconds: 60 }
    }

    #[test]
    fn a_ticket_reads_its_recording_once_and_in_time_and_opens_no_session() {
        let (rights, now) = (Rights::default(), Instant::now());
        let recorded = (RecordingId::random(), ContainerId::random());
        let issue = || key_of(&rights.issue_for_recording(recorded, asked(), now).expect("one"));
        let key = issue();
        assert_eq!(rights.take(key, now), None);
        assert_eq!(rights.take_for_recording(key, RecordingId::random(), now), None);
        let right = rights.take_for_recording(key, recorded.0, now).expect("the right");
        assert_eq!((right.recording, right.grant.as_str()), (recorded.0, "t1"));
        assert_eq!(rights.take_for_recording(key, recorded.0, now), None);
        rights.give_back_for_recording(key, right, now);
        assert!(rights.take_for_recording(key, recorded.0, now).is_some());
        let late = now + Duration::from_mins(1);
        assert_eq!(rights.take_for_recording(issue(), recorded.0, late), None);
        // A ticket for sessions is none for recordings.
        let session = key_of(&rights.issue(request(), now).expect("a ticket"));
        assert_eq!(rights.take_for_recording(session, recorded.0, now), None);
    }

    #[test]
    fn a_revoked_ticket_reads_nothing_and_is_not_given_back() {
        let (rights, now) = (Rights::default(), Instant::now());
        let recorded = (RecordingId::random(), ContainerId::random());
        let issue = || rights.issue_for_recording(recorded, asked(), now);
        let (key, used) = (key_of(&issue().expect("one")), key_of(&issue().expect("one")));
        let right = rights.take_for_recording(used, recorded.0, now).expect("the right");
        assert_eq!(rights.recording_tickets(now).len(), 1);
        rights.revoke("t1", now).expect("revoked");
        rights.give_back_for_recording(used, right, now);
        for key in [key, used] {
            assert_eq!(rights.take_for_recording(key, recorded.0, now), None);
        }
        assert_eq!(issue(), Err(NoTicket::Revoked));
        assert!(rights.recording_tickets(now).is_empty());
    }

    #[test]
    fn the_tickets_of_a_project_are_limited_together() {
        let (rights, now) = (Rights::default(), Instant::now());
        let recorded = (RecordingId::random(), ContainerId::random());
        for _ in 1..MOST_OF_PROJECT {
            rights.issue(request(), now).expect("a ticket");
        }
        assert!(rights.issue_for_recording(recorded, asked(), now).is_ok());
        let refused = rights.issue_for_recording(recorded, asked(), now);
        assert_eq!(refused, Err(NoTicket::TooMany));
        assert_eq!(rights.issue(request(), now), Err(NoTicket::TooMany));
        let long = RecordingTicketRequest { seconds: 3601, ..asked() };
        let refused = rights.issue_for_recording(recorded, long, now);
        assert_eq!(refused, Err(NoTicket::OutOfRange));
    }
}
