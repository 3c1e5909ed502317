//! The bus: typed calls between zun-api and the agents over one of two carriers, AMQP or memory.
//!
//! ```text
//!  Bus::call ── envelope ──> Transport::request ══ carrier ══> Deliveries ──> Router ──> handler
//!      ^                                                                        │
//!      └────────────── reply: Ok | Problem ═════════════════════════════════════┘   then the work, then ack
//! ```
//! A [`Transport`] moves bytes and knows nothing of calls; [`Bus`] and [`Router`] know calls and nothing
//! of carriers. [`connect`] chooses the carrier by a URL.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "amqp")]
mod backoff;
mod client;
mod connect;
mod memory;
mod router;
mod transport;

#[cfg(feature = "amqp")]
pub use amqp::AmqpTransport;
pub use client::{Bus, CallError};
pub use connect::{BusSettings, ConnectError, connect};
pub use memory::{DeadLetter, MemoryTransport};
pub use router::{Accepted, Incoming, Router};
pub use transport::{
    Deliveries, Delivery, Disposition, MAX_BODY, Outgoing, RequestError, Route, Transport,
};
