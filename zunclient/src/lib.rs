//! The client of Zun: a typed REST client, console connections, and the `zun` command.

pub mod api;
pub mod auth;
pub mod cmd;
pub mod console;
pub mod exit;
mod forward_signals;
mod left_sessions;
pub mod out;
pub mod relay;
pub mod settings;
pub mod tty;
