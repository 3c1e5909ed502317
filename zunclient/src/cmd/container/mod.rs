//! Verbs about containers.

pub(super) mod attach;
mod container_flags;
pub(super) mod cp;
pub(super) mod create;
mod data;
pub(super) mod delete;
mod ending;
pub(super) mod exec;
mod for_each;
pub(super) mod kill;
pub(super) mod list;
pub(super) mod logs;
pub(super) mod pause;
mod pull_progress;
pub(super) mod rename;
pub(super) mod restart;
pub(super) mod run;
mod session;
pub(super) mod show;
pub(super) mod start;
mod starting;
pub(super) mod stats;
pub(super) mod stop;
pub(super) mod top;
pub(super) mod unpause;
pub(super) mod update;
pub(super) mod wait;
