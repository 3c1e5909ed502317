//! The console gate of a host: it holds the engine's streams, so that sessions outlive their connections.
//!
//! ```text
//!  client ── mutual TLS, websocket, zun.pty.v1 ──> server ──> hub ──> session ──> engine's unix socket
//! ```
//! The gate knows nothing of zun-api and the agent. A client's right is the grant in its certificate.
#![warn(missing_docs)]

pub mod engine;
pub mod holder;
pub mod hub;
pub mod kept;
pub mod page;
pub mod ring;
pub mod run;
pub mod server;
pub mod session;
pub mod settings;
