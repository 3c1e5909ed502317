//! The whole of Zun in one process, for one machine: zun-api and zun-compute over the in-memory bus, and a
//! private Docker engine beside the machine's own.

pub mod engine;
mod hex;
pub mod host_name;
mod registration;
pub mod service;
pub mod state;
