//! The invariants of the model, and how it becomes quiescent.

use super::ledger::{Rule, Step, perform};
use super::state::{Message, Row, State};

/// Returns the invariant that is violated, at once or when the model is quiescent. The state is one after a restart.
pub(super) fn broken(restarted: &State, without: Option<Rule>) -> Option<&'static str> {
    let rest = at_rest(restarted, without);
    if rest.kills > 1 {
        return Some("a signal is sent once at most");
    }
    let row = rest.database.row;
    // A restored database may have forgotten the delete.
    let is_back = rest.was_restored && rest.removal.is_undone;
    // A recovering host waits for an administrator.
    let is_held = rest.database.is_recovering;
    if is_back || (row == Row::Tombstone && rest.engine.has_it && !is_held) {
        return Some("what is deleted stays deleted");
    }
    let created = row == Row::Present && !rest.was_restored;
    if created && !rest.engine.has_it {
        return Some("what is accepted is created");
    }
    let open = rest.database.operations.values().any(|one| one.outcome.is_none());
    (open && !is_held).then_some("every operation has an outcome")
}

/// Returns the state after the engine has finished, and one new agent has replaced the others.
pub(super) fn restarted(state: &State, without: Option<Rule>) -> State {
    let mut state = state.clone();
    state.agents.clear();
    if state.engine.creates {
        state = perform(&state, Step::Created, without);
    }
    state.agents_started = 0;
    perform(&state, Step::Start, without)
}

/// Runs the model without losing messages, until nothing changes.
fn at_rest(restarted: &State, without: Option<Rule>) -> State {
    let mut state = restarted.clone();
    loop {
        let before = state.clone();
        for step in [Step::Pull { agent: 0, lost: false }, Step::Perform(0), Step::Look(0)] {
            state = perform(&state, step, without);
        }
        if state.engine.creates {
            state = perform(&state, Step::Created, without);
        }
        let current = state.database.epoch;
        let fresh = |one: &Message| match one {
            Message::Nudge { .. } => false,
            Message::Report { epoch, .. } | Message::Seen { epoch } => *epoch == current,
        };
        let arriving: Vec<usize> = state
            .network
            .iter()
            .enumerate()
            .filter(|(_, message)| fresh(message))
            .map(|(index, _)| index)
            .collect();
        for index in arriving {
            state = perform(&state, Step::Deliver(index), without);
        }
        if !state.engine.has_it {
            state.network.remove(&Message::Seen { epoch: current });
        }
        if state == before {
            return state;
        }
    }
}
