//! The steps of the model, and its invariants. zun-api has no state but the database and messages on their way, so any
//! number of zun-api are one here.

use super::Limits;
use super::state::{Agent, Database, File, Id, Kind, Message, Operation, Outcome, Row, State};

/// A rule of the ledger. Without it, some run violates an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// An agent refuses operations of other epochs, and zun-api reports of other epochs.
    Epoch,
    /// A new epoch ends what may be done only once.
    Once,
    /// What a host has under a tombstone is removed again.
    Tombstone,
    /// An agent that knows an operation that the database does not gets no operations.
    Recovering,
    /// This is detected at each heartbeat, not only at the registration.
    Heartbeat,
    /// It is detected by the operation, not only by its sequence.
    Identity,
    /// It is also detected by the operation that was compared last.
    Compared,
    /// A new epoch ends what may be done only once up to the sequence that the agent knows, whoever received it.
    UnknownReceiver,
    /// An agent does not carry out again what may be done only once, and was not in an earlier list.
    Closed,
}

/// One step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A zun-api accepts an operation, and sends the nudge.
    Accept(Kind),
    /// A new agent registers.
    Start,
    /// An agent crashes.
    Crash(usize),
    /// A message arrives at an agent, or at zun-api.
    Deliver(usize),
    /// An agent gets the open operations. `lost`: the reply is lost.
    Pull {
        /// The agent.
        agent: usize,
        /// Whether the agent gets them.
        lost: bool,
    },
    /// An agent carries out its next operation, or begins to create.
    Perform(usize),
    /// The engine completes the creation.
    Created,
    /// An agent no longer waits for the engine, and tries again later.
    TimeOut(usize),
    /// An agent reports to zun-api what the engine has.
    Look(usize),
    /// The database is saved.
    Save,
    /// The database is as it was saved.
    Restore,
}

/// Returns the steps that are possible.
pub(super) fn steps(state: &State, limits: Limits) -> Vec<Step> {
    let mut steps = Vec::new();
    if state.next < limits.operations {
        let kinds: &[Kind] = match state.database.row {
            Row::Missing if state.next == 0 => &[Kind::Create],
            Row::Present => limits.kinds,
            Row::Missing | Row::Tombstone => &[],
        };
        // One kill, so that two signals are one too many.
        let has_kill =
            state.network.iter().any(|one| matches!(one, Message::Nudge { kind: Kind::Kill, .. }));
        let new = kinds.iter().filter(|kind| **kind != Kind::Kill || !has_kill);
        steps.extend(new.map(|kind| Step::Accept(*kind)));
    }
    // Where the database is restored, the lock of the engine keeps a second agent out.
    let is_locked = limits.restores && !state.agents.is_empty();
    if state.agents_started < limits.agents && !is_locked {
        steps.push(Step::Start);
    }
    for (agent, one) in state.agents.iter().enumerate() {
        steps.push(Step::Crash(agent));
        steps.push(Step::Pull { agent, lost: false });
        steps.push(Step::Pull { agent, lost: true });
        steps.push(if one.creating.is_some() {
            Step::TimeOut(agent)
        } else {
            Step::Perform(agent)
        });
        steps.push(Step::Look(agent));
    }
    for (index, message) in state.network.iter().enumerate() {
        // zun-api may accept one more delete by itself.
        let accepts = matches!(message, Message::Seen { .. });
        if !accepts || state.next <= limits.operations {
            steps.push(Step::Deliver(index));
        }
    }
    if state.engine.creates {
        steps.push(Step::Created);
    }
    if limits.restores && !state.was_restored {
        steps.push(if state.backup.is_none() { Step::Save } else { Step::Restore });
    }
    steps
}

/// Returns the state after a step.
pub(super) fn perform(before: &State, step: Step, without: Option<Rule>) -> State {
    let mut state = before.clone();
    match step {
        Step::Accept(kind) => accept(&mut state, kind),
        Step::Start => start(&mut state, without),
        Step::Crash(agent) => drop(state.agents.remove(agent)),
        Step::Deliver(message) => deliver(&mut state, message, without),
        Step::Pull { agent, lost } => pull(&mut state, (agent, lost), without),
        Step::Perform(agent) => work(&mut state, agent),
        Step::Created => created(&mut state),
        Step::TimeOut(agent) => time_out(&mut state, agent),
        Step::Look(agent) => {
            if state.engine.has_it {
                state.network.insert(Message::Seen { epoch: state.agents[agent].epoch });
            }
        }
        Step::Save => state.backup = Some(state.database.clone()),
        Step::Restore => {
            state.database = state.backup.clone().unwrap_or_default();
            state.was_restored = true;
        }
    }
    state
}

/// Writes the operation and its effect on the row in one transaction.
fn accept(state: &mut State, kind: Kind) {
    let State { database, network, next, .. } = state;
    let id = *next;
    *next += 1;
    database.last_sequence += 1;
    let (sequence, epoch) = (database.last_sequence, database.epoch);
    if kind == Kind::Delete {
        for operation in database.operations.values_mut().filter(|one| one.outcome.is_none()) {
            let once = operation.kind == Kind::Kill;
            operation.outcome = Some(if once { Outcome::Unknown } else { Outcome::Failed });
        }
    }
    match kind {
        Kind::Create => database.row = Row::Present,
        Kind::Delete => database.row = Row::Tombstone,
        Kind::Kill | Kind::Other => {}
    }
    database.operations.insert(id, Operation { kind, sequence, epoch, outcome: None });
    network.insert(Message::Nudge { id, kind, sequence, epoch });
}

/// The agent knows a higher sequence than the database, or another operation with that sequence.
fn detect_restore(state: &mut State, without: Option<Rule>) {
    let State { database, file, .. } = state;
    let is_another = |(sequence, known): (u8, Id)| {
        let mut operations = database.operations.iter();
        operations.any(|(id, one)| one.sequence == sequence && *id != known)
    };
    let newest = file.operation.map(|operation| (file.sequence, operation));
    let is_older = file.sequence > database.last_sequence
        || (newest.is_some_and(is_another) && without != Some(Rule::Identity))
        || (file.compared.is_some_and(is_another) && without != Some(Rule::Compared));
    database.is_recovering |= is_older && without != Some(Rule::Recovering);
}

fn start(state: &mut State, without: Option<Rule>) {
    detect_restore(state, without);
    let State { database, file, .. } = state;
    let known_epoch = if without == Some(Rule::Recovering) { 0 } else { file.epoch };
    let former = database.epoch;
    database.epoch = database.epoch.max(known_epoch) + 1;
    let open = database.operations.values_mut().filter(|one| one.outcome.is_none());
    for operation in open.filter(|one| one.kind == Kind::Kill) {
        let was_received = former > 0 && operation.epoch == former;
        let may_have_been_received =
            operation.sequence <= file.sequence && without != Some(Rule::UnknownReceiver);
        if (was_received || may_have_been_received) && without != Some(Rule::Once) {
            operation.outcome = Some(Outcome::Unknown);
        }
    }
    file.epoch = file.epoch.max(database.epoch);
    state.agents.push(Agent { epoch: database.epoch, ..Agent::default() });
    state.agents_started += 1;
}

fn deliver(state: &mut State, message: usize, without: Option<Rule>) {
    let Some(message) = state.network.iter().nth(message).copied() else {
        return;
    };
    let is_current = |epoch: u8, current: u8| epoch == current || without == Some(Rule::Epoch);
    match message {
        Message::Nudge { id, kind, sequence, epoch } => {
            let Some(agent) = state.agents.len().checked_sub(1) else {
                return;
            };
            let Agent { epoch: own, last, .. } = state.agents[agent];
            // A lower one was already passed; before a higher one, an operation is missing.
            if is_current(epoch, own) && sequence == last + 1 {
                receive(state, agent, (sequence, id, kind));
            }
        }
        Message::Report { id, epoch, outcome } => {
            if is_current(epoch, state.database.epoch) {
                settle(&mut state.database, id, outcome);
                let reporter = state.agents.iter_mut().find(|one| one.epoch == epoch);
                let reporter = reporter.filter(|one| one.known.contains(&id));
                if let Some(agent) = reporter.filter(|_| state.has_restores) {
                    agent.acknowledged.insert(id);
                }
            }
        }
        Message::Seen { epoch } => {
            let open = |one: &Operation| one.kind == Kind::Delete && one.outcome.is_none();
            let has_delete = state.database.operations.values().any(open);
            let is_tombstone = state.database.row == Row::Tombstone && !has_delete;
            if is_current(epoch, state.database.epoch)
                && is_tombstone
                && without != Some(Rule::Tombstone)
            {
                accept(state, Kind::Delete);
            }
        }
    }
}

fn settle(database: &mut Database, id: Id, outcome: Outcome) {
    let Some(operation) = database.operations.get_mut(&id) else {
        return;
    };
    if matches!(operation.outcome, None | Some(Outcome::Unknown)) {
        operation.outcome = Some(outcome);
    }
}

fn pull(state: &mut State, (agent, lost): (usize, bool), without: Option<Rule>) {
    let epoch = state.agents[agent].epoch;
    let is_stale = epoch != state.database.epoch && without != Some(Rule::Epoch);
    if without != Some(Rule::Heartbeat) {
        detect_restore(state, without);
    }
    if is_stale || state.database.is_recovering {
        return;
    }
    let mut listed = Vec::new();
    for (id, operation) in &mut state.database.operations {
        if operation.outcome.is_none() {
            operation.epoch = epoch;
            listed.push((operation.sequence, *id, operation.kind));
        }
    }
    if lost {
        return;
    }
    let newest = state.file.operation.map(|operation| (state.file.sequence, operation));
    state.file.compared = newest.filter(|_| state.has_restores);
    for operation in listed {
        let (sequence, id, kind) = operation;
        let one = &mut state.agents[agent];
        let is_closed = kind == Kind::Kill && sequence <= one.complete_to;
        if is_closed && !one.known.contains(&id) && without != Some(Rule::Closed) {
            one.known.insert(id);
            state.network.insert(Message::Report { id, epoch, outcome: Outcome::Unknown });
        } else {
            receive(state, agent, operation);
        }
    }
    let (one, last) = (&mut state.agents[agent], state.database.last_sequence);
    one.last = last.max(one.last);
    if state.has_restores {
        one.complete_to = last.max(one.complete_to);
    }
    for id in std::mem::take(&mut one.acknowledged) {
        one.known.remove(&id);
    }
}

/// An agent receives an operation that it does not know.
fn receive(state: &mut State, agent: usize, (sequence, id, kind): (u8, Id, Kind)) {
    let one = &mut state.agents[agent];
    if !one.known.insert(id) {
        return;
    }
    if kind == Kind::Delete {
        one.waiting.clear();
        one.creating = None;
    }
    one.waiting.insert(sequence, (id, kind));
    one.last = one.last.max(sequence);
    if sequence > state.file.sequence {
        state.file = File { sequence, operation: Some(id), ..state.file };
    }
}

fn work(state: &mut State, agent: usize) {
    let Some((sequence, (id, kind))) = state.agents[agent].waiting.first_key_value() else {
        return;
    };
    let (sequence, id, kind) = (*sequence, *id, *kind);
    let outcome = match kind {
        Kind::Create if !state.engine.has_it => {
            state.engine.creates = true;
            state.removal.is_undone |= state.removal.is_done;
            state.agents[agent].creating = Some(id);
            return;
        }
        Kind::Create | Kind::Other => Outcome::Succeeded,
        Kind::Kill if !state.engine.has_it => Outcome::Failed,
        Kind::Kill => {
            state.kills += 1;
            Outcome::Succeeded
        }
        Kind::Delete => {
            state.removal.is_done = true;
            state.engine.has_it = false;
            Outcome::Succeeded
        }
    };
    state.agents[agent].waiting.remove(&sequence);
    let epoch = state.agents[agent].epoch;
    state.network.insert(Message::Report { id, epoch, outcome });
}

/// The engine has created it once, whether or not an agent waits. An agent that waits inspects again, and finds it.
fn created(state: &mut State) {
    state.engine.creates = false;
    state.engine.has_it = true;
    for agent in &mut state.agents {
        agent.creating = None;
    }
}

fn time_out(state: &mut State, agent: usize) {
    state.agents[agent].creating = None;
}
