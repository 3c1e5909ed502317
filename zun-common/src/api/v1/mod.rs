//! Version 1 of the REST API: OpenStack Zun's requests and responses, and those that only the client `zun` uses.

pub mod action;
pub mod console;
pub mod container;
pub mod error;
pub mod event;
pub mod exec;
pub mod files;
pub mod host;
pub mod image;
pub mod placement;
pub mod quota;
pub mod recording;
pub mod registry;
pub mod resource;
pub mod run;
pub mod session;
pub mod time;
pub mod version;
