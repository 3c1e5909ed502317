//! The console gate of a host: it holds the engine's streams, so that sessions outlive their connections.
//!
//! ```text
//!  client ── mutual TLS, websocket, zun.pty.v1 ──> server ──> hub ──> session ──> engine's unix socket
//! ```
//! The gate knows nothing of zun-api. A client's right is the grant in its certificate, or a ticket that the gate has
//! issued. The agent asks for tickets, lists sessions and ends them at the control socket ([`control`]).
#![warn(missing_docs)]

pub mod control;
pub mod engine;
pub mod holder;
pub mod hub;
pub mod kept;
pub mod page;
pub mod recording;
pub mod replies;
pub mod rights;
pub mod ring;
pub mod run;
pub mod server;
pub mod session;
pub mod settings;
pub mod stats;
mod utf8;
