//! The state of the model.

use std::collections::{BTreeMap, BTreeSet};

/// An operation's number, in the order of acceptance. It is its identity, also after the database was restored.
pub type Id = u8;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Creates the container.
    Create,
    /// Sends the container a signal.
    Kill,
    /// Removes the container.
    Delete,
    /// Does something to another container of the host.
    Other,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Outcome {
    Succeeded,
    Failed,
    Unknown,
}

/// The container's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) enum Row {
    #[default]
    Missing,
    Present,
    Tombstone,
}

/// An operation in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Operation {
    pub(super) kind: Kind,
    pub(super) sequence: u8,
    /// The epoch of the agent that may have received it.
    pub(super) epoch: u8,
    pub(super) outcome: Option<Outcome>,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Database {
    pub(super) row: Row,
    pub(super) operations: BTreeMap<Id, Operation>,
    pub(super) epoch: u8,
    pub(super) last_sequence: u8,
    pub(super) is_recovering: bool,
}

/// A message in the network. It is never removed: it can arrive late, more than once, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Message {
    /// To the agent: carry out this operation.
    Nudge { id: Id, kind: Kind, sequence: u8, epoch: u8 },
    /// To zun-api: the operation has ended.
    Report { id: Id, epoch: u8, outcome: Outcome },
    /// To zun-api: the engine has the container.
    Seen { epoch: u8 },
}

/// An agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Agent {
    pub(super) epoch: u8,
    /// Operations that wait, by sequence.
    pub(super) waiting: BTreeMap<u8, (Id, Kind)>,
    /// Operations that were received, also those that have ended, until they are forgotten.
    pub(super) known: BTreeSet<Id>,
    /// Those whose outcome is stored. They are forgotten after the next list.
    pub(super) acknowledged: BTreeSet<Id>,
    /// The highest sequence that was received. Those up to it were received, or had ended before.
    pub(super) last: u8,
    /// A list had all open operations up to this sequence.
    pub(super) complete_to: u8,
    /// The creation that the engine works on.
    pub(super) creating: Option<Id>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct State {
    pub(super) database: Database,
    pub(super) backup: Option<Database>,
    pub(super) was_restored: bool,
    /// Whether a restore is possible. If not, what only matters after one stays as it is, so that there are fewer states.
    pub(super) has_restores: bool,
    /// The next operation's number.
    pub(super) next: Id,
    pub(super) network: BTreeSet<Message>,
    /// Agents that run. Those of former epochs have not noticed yet.
    pub(super) agents: Vec<Agent>,
    pub(super) agents_started: u8,
    pub(super) file: File,
    pub(super) engine: Engine,
    /// How often the signal was sent.
    pub(super) kills: u8,
    pub(super) removal: Removal,
}

/// What the agents keep in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct File {
    pub(super) epoch: u8,
    /// The highest sequence that was received, and its operation.
    pub(super) sequence: u8,
    pub(super) operation: Option<Id>,
    /// The sequence and the operation that the last list was compared with.
    pub(super) compared: Option<(u8, Id)>,
}

/// The engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Engine {
    pub(super) has_it: bool,
    /// It works on a creation, whether or not an agent waits for it.
    pub(super) creates: bool,
}

/// What became of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct Removal {
    /// It was carried out.
    pub(super) is_done: bool,
    /// An agent began to create the container after that.
    pub(super) is_undone: bool,
}
