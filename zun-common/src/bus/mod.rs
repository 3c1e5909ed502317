//! The bus carries typed calls between zun-api and the agents. It has two transports: AMQP and in-memory.
//!
//! ```text
//!  Bus::call ── envelope ──> Transport::request ═ transport ═> Deliveries ──> Router ──> handler
//!      ^                                                                        │
//!      └────────────── reply: Ok | Problem ═════════════════════════════════════┘
//! ```
//! A [`Transport`] moves bytes and does not know calls. [`Bus`] and [`Router`] know calls and do not know the
//! transport. [`connect`] chooses the transport by the URL.

#[cfg(feature = "amqp")]
mod amqp;
#[cfg(feature = "amqp")]
mod client;
mod connect;
mod memory;
mod router;
mod settings;
mod transport;

#[cfg(feature = "amqp")]
pub use amqp::AmqpTransport;
pub use client::{Bus, CallError};
pub use connect::connect;
pub use memory::MemoryTransport;
pub use router::{Incoming, Router};
pub use settings::{BusSettings, ConnectError, QueueType};
pub use transport::{
    Deliveries, Delivery, MAX_BODY, Notifications, Outgoing, RequestError, Route, Transport,
};
