//! An exhaustive model of the ledger: one container on one host, with every order of a few steps. The simulation samples long
//! runs of the real code; this examines all short runs of its rules.

mod invariants;
mod ledger;
mod state;

use std::collections::HashSet;

pub use ledger::{Rule, Step};
use state::State;
pub use state::{Id, Kind};

/// How far the search goes. Each limit is a number of steps in one run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Starts of an agent. The one before it may have crashed, or still run.
    pub agents: u8,
    /// Operations that are accepted, also those that zun-api accepts by itself.
    pub operations: u8,
    /// What they may do, after the create.
    pub kinds: &'static [Kind],
    /// Whether the database is saved and restored once.
    pub restores: bool,
}

/// What the search found.
#[derive(Debug)]
pub struct Searched {
    /// The number of different states.
    pub states: usize,
    /// The shortest run that violates an invariant, and which one.
    pub broken: Option<(Vec<Step>, &'static str)>,
}

/// Examines all runs within the limits that begin with these steps, the shortest first, with all rules or with all but
/// one.
pub fn search(first: &[Step], limits: Limits, without: Option<Rule>) -> Searched {
    let mut start = State { has_restores: limits.restores, ..State::default() };
    for step in first {
        start = ledger::perform(&start, *step, without);
    }
    let mut known = HashSet::from([start.clone()]);
    // Each state with the index of the one before it, and the step between them.
    let mut found = vec![(start, 0, None)];
    // Many states are the same once all agents are replaced.
    let mut rested = HashSet::new();
    let mut index = 0;
    while let Some((state, ..)) = found.get(index) {
        let state = state.clone();
        let restarted = invariants::restarted(&state, without);
        if rested.insert(restarted.clone())
            && let Some(invariant) = invariants::broken(&restarted, without)
        {
            return Searched {
                states: found.len(),
                broken: Some((run_to(&found, index), invariant)),
            };
        }
        for step in ledger::steps(&state, limits) {
            let after = ledger::perform(&state, step, without);
            if known.insert(after.clone()) {
                found.push((after, index, Some(step)));
            }
        }
        index += 1;
    }
    Searched { states: found.len(), broken: None }
}

fn run_to(found: &[(State, usize, Option<Step>)], mut index: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some((_, before, Some(step))) = found.get(index) {
        steps.push(*step);
        index = *before;
    }
    steps.reverse();
    steps
}
