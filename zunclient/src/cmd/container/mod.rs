//! Verbs about containers.

pub(super) mod attach;
pub(super) mod create;
pub(super) mod delete;
mod each;
mod ending;
pub(super) mod exec;
mod exec_session;
pub(super) mod kill;
pub(super) mod list;
pub(super) mod logs;
pub(super) mod pause;
pub(super) mod restart;
pub(super) mod run;
mod session;
pub(super) mod show;
mod spec;
pub(super) mod start;
mod starting;
pub(super) mod stop;
pub(super) mod unpause;
pub(super) mod wait;
