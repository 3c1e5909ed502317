//! The REST API, typed.

mod actions;
mod client;
mod containers;
mod error;
mod events;
mod hosts;
mod images;
mod quotas;
mod recordings;
mod registries;
mod repeat;
mod resources;
mod services;
mod sessions;
mod tls;
mod typed_names;

pub use client::Client;
pub(crate) use client::http_client;
pub use containers::{Delete, ListQuery};
pub use error::ApiError;
pub(crate) use error::INSTEAD_OF_PATHS;
pub use events::{EventQuery, EventStream, Streamed};
pub(crate) use repeat::Absence;
pub use sessions::TicketRequest;
pub use tls::{BadTlsFile, TlsFiles};
