//! The calls and reports that travel over the bus, and the envelope they travel in.

pub mod code;
pub mod container;
pub mod envelope;
pub mod exec;
pub mod host;
pub mod report;

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

pub use code::{Code, Problem};

/// The version of the protocol that this build speaks. An agent refuses a newer one by name.
pub const PROTOCOL: u32 = 1;

/// Whether a call changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It changes something: it goes through the host's durable queue, is acknowledged after the work
    /// is done and may be delivered again, so it must be idempotent.
    Command,
    /// It only asks: it goes through the host's transient queue and never waits for a disk.
    Query,
}

/// A typed call. The reply to a command says that the work was accepted; its result comes as a report.
pub trait Call: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name on the wire, such as `container.start`.
    const METHOD: &'static str;
    /// Which queue carries it.
    const KIND: Kind;
    /// How long the caller waits for the reply, unless its own deadline is nearer.
    const DEADLINE: Duration;
    /// What comes back.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// The empty reply of a call that only confirms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Done {}
