//! Tests of consoles, and of the commands that use them, against a fake engine and a fake service.

mod actions;
mod attach;
mod fake;
mod files;
mod links;
mod repeats;
mod run;
mod statuses;
mod waits;
