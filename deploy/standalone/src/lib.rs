//! All of Zun in one process on one machine: zun-api and zun-compute over the in-memory bus, the console gate, and a
//! private Docker engine next to the machine's own.

mod console_gate;
pub mod engine;
pub mod host_name;
mod logs;
mod registration;
pub mod service;
pub mod state;
