//! Examines all short runs of the ledger's rules, and checks that each rule is needed.

use zun_tests::model::{Limits, Rule, Searched, search};

const CRASHES: Limits = Limits { agents: 2, operations: 3, restores: false };
const RESTORES: Limits = Limits { agents: 2, operations: 2, restores: true };

fn broken(limits: Limits, without: Rule) -> &'static str {
    let Searched { states, broken } = search(limits, Some(without));
    let (run, promise) = broken.unwrap_or_else(|| panic!("{states} states, none is wrong"));
    println!("without {without:?}: {promise}: {run:?}");
    promise
}

#[test]
fn the_rules_keep_every_promise_whatever_crashes_is_lost_or_comes_twice() {
    for limits in [CRASHES, RESTORES] {
        let Searched { states, broken } = search(limits, None);
        println!("{limits:?}: {states} states");
        assert!(broken.is_none(), "{broken:?}");
        assert!(states > 10_000, "only {states} states");
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
fn without_recovering_a_restored_database_undoes_a_delete() {
    assert_eq!(broken(RESTORES, Rule::Recovering), "what is deleted stays deleted");
}
