//! The REST API, typed.

mod actions;
mod client;
mod containers;
mod error;
mod hosts;
mod registries;
mod repeat;

pub use client::Client;
pub(crate) use client::http_client;
pub use containers::{Delete, ListQuery};
pub use error::{ApiError, BadCaFile};
pub(crate) use repeat::Absence;
