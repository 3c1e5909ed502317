//! Version 1 of the REST API: OpenStack Zun's requests and responses, and those that our own client needs.

pub mod console;
pub mod container;
pub mod error;
pub mod exec;
pub mod host;
pub mod time;
pub mod version;
