//! The rights in the descriptor store, for the next process of the gate. They are written before a client learns of a
//! change, so that a killed gate neither forgets a revocation nor lets a ticket be used twice.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use tracing::warn;
use zun_common::id::{ContainerId, EngineId, ProjectId, RecordingId};
use zun_common::pty::ticket::LONGEST_LIFE;

use super::{REMEMBERED, RecordingRight, Right, Rights, State};
use crate::engine::Target;
use crate::kept::{DescriptorStore, LARGE, RIGHTS, Record};
use crate::session::KeyHash;

/// The record in the store.
#[derive(Debug)]
pub(super) struct Kept {
    store: Arc<DescriptorStore>,
    record: Record,
    /// Each ticket as it is written, by its hash, and how many uses it had then.
    written: HashMap<[u8; 32], (u32, Vec<u8>)>,
}

/// The serialized form of all rights. Times are those of the wall clock.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RightsRecord {
    tickets: Vec<TicketRecord>,
    recordings: Vec<RecordingTicketRecord>,
    /// Revoked grants, and until when they are remembered.
    revoked: Vec<(String, SystemTime)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TicketRecord {
    hash: KeyHash,
    target: Target,
    may_write: bool,
    project: ProjectId,
    grant: String,
    /// The container whose files its clients may copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<EngineId>,
    expires: SystemTime,
    uses: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordingTicketRecord {
    hash: KeyHash,
    recording: RecordingId,
    container: ContainerId,
    project: ProjectId,
    grant: String,
    expires: SystemTime,
}

impl Rights {
    /// The rights of a former process, or none. From now on, they are kept in the store.
    pub fn kept(store: &Arc<DescriptorStore>, former: Option<OwnedFd>) -> Self {
        let rights = Self::default();
        if !store.keeps() {
            return rights;
        }
        let restored = former.map(|former| restored(former.into())).transpose();
        let (record, state) = match restored {
            Ok(Some((record, state))) => (Ok(record), state),
            Ok(None) => (create(store), State::default()),
            Err(error) => {
                warn!(%error, "cannot read the tickets and revocations of the former process: its tickets are no longer valid");
                store.forget(RIGHTS);
                (create(store), State::default())
            }
        };
        *rights.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        match record {
            Ok(record) => {
                let store = Arc::clone(store);
                *lock(&rights.kept) = Some(Kept { store, record, written: HashMap::new() });
            }
            Err(error) => {
                warn!(%error, "cannot keep tickets and revocations for the next process: they end with this one");
            }
        }
        rights
    }

    /// Writes all rights, if they are kept.
    pub(super) fn keep(&self, state: &State) {
        let mut kept = lock(&self.kept);
        let Some(found) = &mut *kept else { return };
        if let Err(error) = found.write(state) {
            // An outdated record would let a ticket be used again.
            warn!(%error, "cannot keep tickets and revocations for the next process: they end with this one");
            found.store.forget(RIGHTS);
            *kept = None;
        }
    }
}

impl Kept {
    /// Writes all rights. Only tickets that have changed are serialized: each use of a ticket writes all of them.
    fn write(&mut self, state: &State) -> io::Result<()> {
        self.written.retain(|hash, (uses, _)| {
            state.tickets.get(hash).is_some_and(|right| right.uses == *uses)
        });
        let (now, clock) = (Instant::now(), SystemTime::now());
        let mut text = b"{\"tickets\":[".to_vec();
        for (place, (hash, right)) in state.tickets.iter().enumerate() {
            if !self.written.contains_key(hash) {
                let ticket = serde_json::to_vec(&TicketRecord::of(*hash, right, (now, clock)))?;
                self.written.insert(*hash, (right.uses, ticket));
            }
            let separator: &[u8] = if place == 0 { b"" } else { b"," };
            text.extend(separator);
            text.extend(
                self.written.get(hash).map(|(_, ticket)| ticket.as_slice()).unwrap_or_default(),
            );
        }
        text.extend(b"],\"recordings\":");
        let recordings = state.recordings.iter();
        let recordings =
            recordings.map(|(hash, right)| RecordingTicketRecord::of(*hash, right, (now, clock)));
        serde_json::to_writer(&mut text, &recordings.collect::<Vec<_>>())?;
        text.extend(b",\"revoked\":");
        let revoked = revoked_until(state, (now, clock));
        serde_json::to_writer(&mut text, &revoked.collect::<Vec<_>>())?;
        text.extend(b"}");
        self.record.set_state(text)
    }
}

/// The revoked grants, and until when they are remembered.
fn revoked_until(
    state: &State,
    (now, clock): (Instant, SystemTime),
) -> impl Iterator<Item = (&str, SystemTime)> {
    let at = move |since: Instant| clock + (since + REMEMBERED).saturating_duration_since(now);
    state.revoked.iter().map(move |(grant, since)| (grant.as_str(), at(*since)))
}

impl TicketRecord {
    fn of(hash: [u8; 32], right: &Right, (now, clock): (Instant, SystemTime)) -> Self {
        Self {
            hash: KeyHash::from_bytes(hash),
            target: right.target.clone(),
            may_write: right.may_write,
            project: right.project.clone(),
            grant: right.grant.clone(),
            files: right.files.clone(),
            expires: clock + right.expires.saturating_duration_since(now),
            uses: right.uses,
        }
    }
}

impl RecordingTicketRecord {
    fn of(hash: [u8; 32], right: &RecordingRight, (now, clock): (Instant, SystemTime)) -> Self {
        Self {
            hash: KeyHash::from_bytes(hash),
            recording: right.recording,
            container: right.container,
            project: right.project.clone(),
            grant: right.grant.clone(),
            expires: clock + right.expires.saturating_duration_since(now),
        }
    }
}

fn lock(kept: &Mutex<Option<Kept>>) -> std::sync::MutexGuard<'_, Option<Kept>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn create(store: &DescriptorStore) -> io::Result<Record> {
    let mut record = Record::create_with(LARGE)?;
    record.set_state(serde_json::to_vec(&RightsRecord::default())?)?;
    store.keep(RIGHTS, &[record.descriptor()]);
    Ok(record)
}

fn restored(file: File) -> io::Result<(Record, State)> {
    let record = Record::restored_with(file, LARGE)?;
    let written: RightsRecord = serde_json::from_slice(record.state())?;
    Ok((record, written.state(Instant::now(), SystemTime::now())))
}

impl RightsRecord {
    /// The rights that are valid at this time. If the clock was set back, none of them lasts longer than a new one.
    fn state(self, now: Instant, clock: SystemTime) -> State {
        let left = |until: SystemTime, most: Duration| {
            until.duration_since(clock).unwrap_or(Duration::ZERO).min(most)
        };
        let tickets = self.tickets.into_iter().filter_map(|ticket| {
            let TicketRecord { hash, target, may_write, project, grant, files, expires, uses } =
                ticket;
            let expires = now + left(expires, LONGEST_LIFE);
            let right = Right { target, may_write, project, grant, files, expires, uses };
            (uses > 0).then_some((hash.to_bytes(), right))
        });
        let recordings = self.recordings.into_iter().map(|ticket| {
            let RecordingTicketRecord { hash, recording, container, project, grant, expires } =
                ticket;
            let expires = now + left(expires, LONGEST_LIFE);
            (hash.to_bytes(), RecordingRight { recording, grant, container, project, expires })
        });
        let revoked = self.revoked.into_iter().filter_map(|(grant, until)| {
            let since = (now + left(until, REMEMBERED)).checked_sub(REMEMBERED)?;
            Some((grant, since))
        });
        State {
            tickets: tickets.collect(),
            recordings: recordings.collect(),
            revoked: revoked.collect(),
            used_up: HashMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use zun_common::gate_control::TicketRequest;

    use super::super::key_of;
    use super::super::recordings::tests::asked;
    use super::super::tests::request;
    use super::*;
    use crate::holder::Holder;

    /// The rights in the next process.
    fn next(holder: &mut Holder, store: &Arc<DescriptorStore>) -> Rights {
        holder.handle_rest().expect("handled");
        let former = holder.inherited().expect("descriptors").rights();
        Rights::kept(store, former)
    }

    #[tokio::test]
    async fn tickets_uses_and_revocations_are_the_same_in_the_next_process() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut holder = Holder::at(directory.path().join("notify")).expect("a socket");
        let store = Arc::new(DescriptorStore::at(holder.path()).expect("a store"));
        let (rights, now) = (next(&mut holder, &store), Instant::now());
        let issue = |uses, grant: &str, seconds| {
            let asked = request();
            let asked = TicketRequest { uses, seconds, grant: grant.to_owned(), ..asked };
            rights.issue(asked, now).expect("a ticket")
        };
        let [shared, once, revoked, short] =
            [issue(3, "t1", 3600), issue(1, "t2", 60), issue(5, "t3", 60), issue(1, "t4", 1)];
        assert!(rights.take(key_of(&shared), now).is_some());
        assert!(rights.take(key_of(&once), now).is_some());
        rights.revoke("t3", now).expect("revoked");
        rights.revoke("g1", now).expect("revoked");
        let recorded = (RecordingId::random(), ContainerId::random());
        let [played, unplayed] =
            [(); 2].map(|()| rights.issue_for_recording(recorded, asked(), now).expect("one"));
        assert!(rights.take_for_recording(key_of(&played), recorded.0, now).is_some());
        let mut latest = rights;
        for _ in 0..2 {
            drop(latest);
            latest = next(&mut holder, &store);
            let listed = latest.tickets(now);
            let all: Vec<_> = listed.iter().map(|one| (one.grant.as_str(), one.uses)).collect();
            assert_eq!(all, [("t1", 2), ("t4", 1)]);
            assert!(listed[0].seconds > 3590, "{listed:?}");
            assert!(latest.is_revoked("t3", now) && latest.is_revoked("g1", now));
        }
        assert!(latest.take(key_of(&shared), now).is_some());
        assert_eq!(latest.take_for_recording(key_of(&played), recorded.0, now), None);
        assert!(latest.take_for_recording(key_of(&unplayed), recorded.0, now).is_some());
        let later = now + Duration::from_secs(2);
        for ticket in [&once, &revoked] {
            assert_eq!(latest.take(key_of(ticket), now), None);
        }
        assert_eq!(latest.take(key_of(&short), later), None);
        let text =
            String::from_utf8(lock(&latest.kept).as_ref().expect("kept").record.state().to_vec());
        assert!(!text.expect("text").contains(shared.expose()), "only the hash is kept");
    }

    #[tokio::test]
    async fn a_use_of_a_ticket_serializes_only_this_ticket() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut holder = Holder::at(directory.path().join("notify")).expect("a socket");
        let store = Arc::new(DescriptorStore::at(holder.path()).expect("a store"));
        let (rights, now) = (next(&mut holder, &store), Instant::now());
        let issue = || rights.issue(TicketRequest { uses: 2, ..request() }, now).expect("a ticket");
        let (used, other) = (key_of(&issue()).to_bytes(), key_of(&issue()).to_bytes());
        let mark = |ticket: &[u8]| [ticket, b"   "].concat();
        // What is written again has no mark any more.
        for (_, ticket) in lock(&rights.kept).as_mut().expect("kept").written.values_mut() {
            *ticket = mark(ticket);
        }
        assert!(rights.take(KeyHash::from_bytes(used), now).is_some());
        let kept = lock(&rights.kept);
        let written = &kept.as_ref().expect("kept").written;
        let is_marked = |hash: &[u8; 32]| written[hash].1.ends_with(b"   ");
        assert!(!is_marked(&used) && is_marked(&other));
        drop(kept);
        let text = lock(&rights.kept).as_ref().expect("kept").record.state().to_vec();
        let restored: RightsRecord = serde_json::from_slice(&text).expect("JSON");
        let mut uses: Vec<_> = restored.tickets.iter().map(|ticket| ticket.uses).collect();
        uses.sort_unstable();
        assert_eq!(uses, [1, 2]);
    }

    #[test]
    fn a_clock_that_was_set_back_prolongs_nothing_beyond_a_new_one() {
        let (rights, now) = (Rights::default(), Instant::now());
        rights.issue(request(), now).expect("a ticket");
        rights.revoke("g1", now).expect("revoked");
        let (state, then) = (rights.state(now), (now, SystemTime::now()));
        let tickets =
            state.tickets.iter().map(|(hash, right)| TicketRecord::of(*hash, right, then));
        let revoked = revoked_until(&state, then).map(|(grant, until)| (grant.to_owned(), until));
        let written = RightsRecord {
            tickets: tickets.collect(),
            revoked: revoked.collect(),
            ..RightsRecord::default()
        };
        let clock = SystemTime::now() - Duration::from_hours(1000);
        let state = written.state(now, clock);
        assert!(state.tickets.values().all(|right| right.expires <= now + LONGEST_LIFE));
        assert!(state.revoked.values().all(|since| *since <= now));
    }
}
