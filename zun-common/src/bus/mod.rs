//! The bus: typed calls between zun-api and the agents over one of two carriers, AMQP or memory.
//!
//! ```text
//!  Bus::call ── envelope ──> Transport::request ══ carrier ══> Deliveries ──> Router ──> handler
//!      ^                                                                        │
//!      └────────────── reply: Ok | Problem ═════════════════════════════════════┘   then the work, then ack
//! ```
//! A [`Transport`] moves bytes and knows nothing of calls; [`Bus`] and [`Router`] know calls and nothing
//! of carriers.

mod client;
mod router;
mod transport;

pub use client::{Bus, CallError};
pub use router::{Accepted, Incoming, Router};
pub use transport::{Deliveries, Delivery, Disposal, Outgoing, RequestError, Route, Transport};
