//! Tests of consoles, and of the commands that use them, against a fake engine and a fake service.

mod actions;
mod advice;
mod attach;
mod changes;
mod fake;
mod files;
mod formats;
mod gate;
mod habits;
mod links;
mod lists;
mod placement;
#[path = "../../../tests/src/pty.rs"]
#[expect(
    clippy::indexing_slicing,
    clippy::print_stderr,
    dead_code,
    unreachable_pub,
    reason = "the tests of the whole system share it"
)]
mod pty;
mod repeats;
mod run;
mod screens;
mod statuses;
mod waits;
mod web_page;
