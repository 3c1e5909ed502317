//! Chaos: real programs, engines, brokers and databases, which are killed, frozen, cut off, emptied, replaced by older
//! copies and given wrong clocks at random while clients work. Afterwards, everything that was accepted has been done,
//! once, and the API shows the true state.
//!
//! A failing run prints its seed, and keeps its logs and history in `target/chaos/SEED-DATABASE-BROKERS`. `ZUN_CHAOS_SEED`
//! runs the same schedule again, `ZUN_CHAOS_OPERATIONS` changes its length.

mod chaos {
    pub mod actions;
    pub mod client;
    pub mod engines;
    pub mod faults;
    pub mod forgotten;
    pub mod judge;
    pub mod plan;
    pub mod report;
    pub mod run;
    pub mod settings;
    pub mod timeline;
    pub mod witness;
    pub mod workload;
}

use chaos::{
    actions, client, engines, faults, forgotten, judge, plan, report, settings, timeline, witness,
    workload,
};

use chaos::run::chaos;
use settings::Settings;

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_was_accepted_is_done_once_after_chaos() {
    chaos(Settings::read(160, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
#[ignore = "it takes many minutes: make chaos"]
async fn what_was_accepted_is_done_once_after_long_chaos() {
    chaos(Settings::read(2_400, true)).await;
}
