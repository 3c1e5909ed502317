//! Examines all short runs of the ledger's rules, and checks that each rule is needed.

use zun_tests::model::{Kind, Limits, Rule, Searched, Step, search};
use zun_tests::profile;

const CRASHES: Limits =
    Limits { agents: 2, operations: 3, kinds: &[Kind::Kill, Kind::Delete], restores: false };
const RESTORES: Limits =
    Limits { agents: 1, operations: 2, kinds: &[Kind::Kill, Kind::Delete], restores: true };
const LONG_RESTORES: Limits = Limits { operations: 3, ..RESTORES };
const SEVERAL_AGENTS: Limits = Limits { agents: 2, ..RESTORES };

/// A container is deleted, and the database is restored from a copy that was made before.
const RESTORED: [Step; 8] = [
    Step::Accept(Kind::Create),
    Step::Start,
    Step::Save,
    Step::Accept(Kind::Delete),
    Step::Pull { agent: 0, lost: false },
    Step::Perform(0),
    Step::Pull { agent: 0, lost: false },
    Step::Restore,
];
const AFTER_RESTORE: Limits =
    Limits { agents: 1, operations: 4, kinds: &[Kind::Other], restores: true };

fn broken(limits: Limits, without: Rule) -> &'static str {
    broken_after(&[], limits, without)
}

fn broken_after(first: &[Step], limits: Limits, without: Rule) -> &'static str {
    let Searched { states, broken } = search(first, limits, Some(without));
    let (run, invariant) = broken.unwrap_or_else(|| panic!("{states} states, none is wrong"));
    println!("without {without:?}: {invariant}: {run:?}");
    invariant
}

fn holds(first: &[Step], limits: Limits) -> usize {
    let Searched { states, broken } = search(first, limits, None);
    println!("{limits:?}: {states} states");
    assert!(broken.is_none(), "{broken:?}");
    states
}

#[test]
fn the_rules_keep_every_invariant_whatever_crashes_is_lost_or_comes_twice() {
    assert!(holds(&[], CRASHES) > 10_000);
}

#[test]
fn the_rules_keep_every_invariant_after_a_restore() {
    assert!(holds(&[], RESTORES) > 10_000);
    assert!(holds(&RESTORED, AFTER_RESTORE) > 10);
    if profile::is_long() {
        holds(&[], SEVERAL_AGENTS);
        holds(&[], LONG_RESTORES);
    }
}

#[test]
fn without_the_epoch_check_an_agent_that_was_replaced_sends_a_signal_again() {
    assert_eq!(broken(CRASHES, Rule::Epoch), "a signal is sent once at most");
}

#[test]
fn if_the_next_agent_gets_what_may_be_done_once_it_is_done_twice() {
    assert_eq!(broken(CRASHES, Rule::Once), "a signal is sent once at most");
}

#[test]
fn without_removing_it_again_a_late_creation_undoes_a_delete() {
    assert_eq!(broken(CRASHES, Rule::Tombstone), "what is deleted stays deleted");
}

#[test]
fn if_only_registrations_are_compared_a_database_restored_under_a_running_agent_undoes_a_delete() {
    assert_eq!(broken(RESTORES, Rule::Heartbeat), "what is deleted stays deleted");
}

#[test]
fn if_only_sequences_are_compared_a_restored_database_that_gave_one_again_undoes_a_delete() {
    assert_eq!(broken(LONG_RESTORES, Rule::Identity), "what is deleted stays deleted");
}

#[test]
fn if_only_the_last_operation_is_compared_one_that_arrives_after_a_restore_undoes_a_delete() {
    let invariant = broken_after(&RESTORED, AFTER_RESTORE, Rule::Compared);
    assert_eq!(invariant, "what is deleted stays deleted");
}

#[test]
fn without_the_rule_of_unknown_receivers_a_restored_database_sends_a_signal_again_to_the_next_agent()
 {
    assert_eq!(broken(RESTORES, Rule::UnknownReceiver), "a signal is sent once at most");
}

#[test]
fn if_agents_believe_every_list_a_restored_database_sends_a_signal_again_to_the_same_agent() {
    assert_eq!(broken(RESTORES, Rule::Closed), "a signal is sent once at most");
}

#[test]
fn without_recovering_a_restored_database_undoes_a_delete() {
    assert_eq!(broken(RESTORES, Rule::Recovering), "what is deleted stays deleted");
}
