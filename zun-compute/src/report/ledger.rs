//! What is known of every container, and what of it zun-api is still to be told. Pure: the clock is given.

use std::collections::{HashMap, VecDeque};

use zun_common::api::v1::container::ImagePull;
use zun_common::grant::SessionEvent;
use zun_common::id::{ContainerId, EngineId, HostName};
use zun_common::rpc::host::AssignedContainer;
use zun_common::rpc::operation::OperationOutcome;
use zun_common::rpc::report::ContainerReport;
use zun_common::status::{Status, TaskState};

use super::entry::{Entry, Heed};
use super::facts::{Ending, Sight, Ticket};
use crate::attached::ConsoleCounter;
use crate::driver::ProcessExit;
use crate::operation_state::Ended;

/// As many containers as are kept; more are not reported.
const MOST_CONTAINERS: usize = 65_536;
/// Removed containers that are remembered, so that nothing late brings them back.
const MOST_REMOVED: usize = 1024;

/// The pages of all containers.
#[derive(Debug)]
pub(super) struct Ledger {
    host: HostName,
    entries: HashMap<ContainerId, Entry>,
    consoles: ConsoleCounter,
    /// Those with something to tell, in order; some may have been told meanwhile.
    line: VecDeque<ContainerId>,
    removed: VecDeque<ContainerId>,
    /// Outcomes of operations that wait for the next message about their container.
    outcomes: HashMap<ContainerId, Vec<Ended>>,
    /// The containers about which a message is on its way, with the outcomes in it.
    in_flight: HashMap<ContainerId, Vec<Ended>>,
    tickets: u64,
}

/// What is sent to zun-api about a container in one message.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) container: ContainerId,
    pub(super) report: Option<ContainerReport>,
    pub(super) outcomes: Vec<OperationOutcome>,
}

impl Ledger {
    pub(super) fn new(host: HostName) -> Self {
        Self {
            host,
            entries: HashMap::new(),
            consoles: ConsoleCounter::default(),
            line: VecDeque::new(),
            removed: VecDeque::new(),
            outcomes: HashMap::new(),
            in_flight: HashMap::new(),
            tickets: 0,
        }
    }

    /// To be drawn before looking at the engine, so that a late look does not undo a newer one.
    pub(super) const fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    pub(super) fn begin(&mut self, container: ContainerId, task: TaskState, now: i64) {
        let Some(entry) = self.entry(container) else { return };
        entry.begin(task);
        self.put(container, now);
    }

    pub(super) fn pulling(&mut self, container: ContainerId, pull: ImagePull, now: i64) {
        if let Some(entry) = self.entry(container) {
            entry.pulling(pull);
            self.put(container, now);
        }
    }

    pub(super) fn learn(&mut self, assigned: &AssignedContainer) {
        if let Some(entry) = self.entry(assigned.container) {
            entry.learn(assigned);
        }
    }

    pub(super) fn ordered(&mut self, container: ContainerId, auto_remove: bool) {
        if let Some(entry) = self.entry(container) {
            entry.ordered(auto_remove);
        }
    }

    pub(super) fn observe(
        &mut self,
        ticket: Ticket,
        container: ContainerId,
        sight: Sight,
        now: i64,
    ) -> Heed {
        if sight == Sight::Gone && !self.entries.contains_key(&container) {
            return Heed::Unsure;
        }
        let Some(entry) = self.entry(container) else { return Heed::Taken };
        let heed = entry.observe(ticket, sight);
        self.put(container, now);
        heed
    }

    pub(super) fn finish(
        &mut self,
        container: ContainerId,
        (ending, ended): (Ending, Ended),
        now: i64,
    ) -> Heed {
        self.outcomes.entry(container).or_default().push(ended);
        let heed = self.finish_work(container, ending, now);
        self.stand_in_line(container);
        heed
    }

    fn finish_work(&mut self, container: ContainerId, ending: Ending, now: i64) -> Heed {
        let Some(entry) = self.entries.get_mut(&container) else { return Heed::Taken };
        let finish = entry.finish(ending);
        self.put(container, now);
        if finish.error_first
            && let Some(entry) = self.entries.get_mut(&container)
        {
            entry.deleted();
            self.put(container, now);
        }
        finish.heed
    }

    pub(super) fn exited(&mut self, container: ContainerId, exit: ProcessExit) {
        if let Some(entry) = self.entries.get_mut(&container) {
            entry.exit = Some(exit);
        }
    }

    /// zun-api has it, and a look that was begun at `ticket` did not find it: it is removed as it should
    /// be, or in error. Nothing where there was a newer look or something is being done to it.
    pub(super) fn absent(
        &mut self,
        ticket: Ticket,
        container: ContainerId,
        rightly: bool,
        now: i64,
    ) {
        let Some(entry) = self.entry(container) else { return };
        if !entry.may_be_absent(ticket) {
            return;
        }
        if rightly {
            entry.deleted();
        } else {
            entry.vanished(container);
        }
        self.put(container, now);
    }

    pub(super) fn note(&mut self, note: SessionEvent, now: i64) {
        let engine = note.container.clone();
        if self.consoles.note(note) {
            self.put_engine(&engine, now);
        }
    }

    /// The engine went: no console is open any more.
    pub(super) fn consoles_ended(&mut self, now: i64) {
        for engine in self.consoles.clear() {
            self.put_engine(&engine, now);
        }
    }

    /// The next message, of a container about which none is on its way. Outcomes go with the last report that waits.
    pub(super) fn take(&mut self) -> Option<Message> {
        while let Some(container) = self.line.pop_front() {
            if self.in_flight.contains_key(&container) {
                continue;
            }
            let slot = self.entries.get_mut(&container).map(|entry| &mut entry.slot);
            let (report, more) = slot.map_or((None, false), |slot| (slot.take(), slot.has_more()));
            let ended =
                if more { None } else { self.outcomes.remove(&container) }.unwrap_or_default();
            if report.is_none() && ended.is_empty() {
                continue;
            }
            let outcomes = ended.iter().map(Ended::message).collect();
            self.in_flight.insert(container, ended);
            return Some(Message { container, report, outcomes });
        }
        None
    }

    /// zun-api has stored the message.
    pub(super) fn told(&mut self, container: ContainerId) {
        for ended in self.in_flight.remove(&container).unwrap_or_default() {
            ended.acknowledge();
        }
        let Some(entry) = self.entries.get_mut(&container) else {
            self.stand_in_line(container);
            return;
        };
        entry.slot.told();
        let removed = entry.is_removed() && entry.is_idle();
        self.stand_in_line(container);
        if removed && !self.removed.contains(&container) {
            self.removed.push_back(container);
        }
        if self.removed.len() > MOST_REMOVED
            && let Some(oldest) = self.removed.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }

    /// The message may not have arrived.
    pub(super) fn untold(&mut self, container: ContainerId) {
        let mut ended = self.in_flight.remove(&container).unwrap_or_default();
        if !ended.is_empty() {
            let waiting = self.outcomes.entry(container).or_default();
            ended.append(waiting);
            *waiting = ended;
        }
        if let Some(entry) = self.entries.get_mut(&container) {
            entry.slot.untold();
        }
        self.stand_in_line(container);
    }

    pub(super) fn newest(&self, container: ContainerId) -> Option<ContainerReport> {
        self.entries.get(&container)?.slot.newest().cloned()
    }

    pub(super) fn was_ordered(&self, container: ContainerId) -> bool {
        self.entries.get(&container).is_some_and(|entry| entry.ordered)
    }

    pub(super) fn is_told(&self) -> bool {
        self.outcomes.is_empty()
            && self.in_flight.is_empty()
            && self.entries.values().all(|entry| entry.slot.is_idle())
    }

    /// Those that the engine was last known to have.
    pub(super) fn held_by_engine(&self) -> Vec<ContainerId> {
        let held = |entry: &Entry| {
            entry.facts.engine.is_some()
                && !matches!(entry.facts.status, Status::Deleted | Status::Error)
        };
        self.entries.iter().filter(|(_, entry)| held(entry)).map(|(id, _)| *id).collect()
    }

    /// Forgets those of which nothing is to be told and that are not among these, but not the removed.
    pub(super) fn forget_all_but(&mut self, known: impl Fn(&ContainerId) -> bool) {
        self.entries
            .retain(|container, entry| !entry.is_idle() || entry.is_removed() || known(container));
    }

    fn entry(&mut self, container: ContainerId) -> Option<&mut Entry> {
        if self.entries.len() >= MOST_CONTAINERS && !self.entries.contains_key(&container) {
            tracing::error!(container.id = %container, "too many containers: one is not reported");
            return None;
        }
        Some(self.entries.entry(container).or_insert_with(Entry::new))
    }

    fn put_engine(&mut self, engine: &EngineId, now: i64) {
        let found =
            self.entries.iter().find(|(_, entry)| entry.facts.engine.as_ref() == Some(engine));
        if let Some(container) = found.map(|(container, _)| *container) {
            self.put(container, now);
        }
    }

    fn put(&mut self, container: ContainerId, now: i64) {
        let Some(entry) = self.entries.get_mut(&container) else { return };
        let open = match (&entry.facts.engine, entry.facts.status) {
            (Some(engine), Status::Stopped | Status::Error | Status::Dead | Status::Deleted) => {
                self.consoles.ended(engine);
                0
            }
            (Some(engine), _) => self.consoles.count(engine),
            (None, _) => 0,
        };
        let report = entry.report(container, &self.host, open);
        entry.slot.put(report, now);
        self.stand_in_line(container);
    }

    fn stand_in_line(&mut self, container: ContainerId) {
        let reports = self.entries.get(&container).is_some_and(|entry| entry.slot.waits());
        let waits = reports || self.outcomes.contains_key(&container);
        if waits && !self.in_flight.contains_key(&container) && !self.line.contains(&container) {
            self.line.push_back(container);
        }
    }
}
