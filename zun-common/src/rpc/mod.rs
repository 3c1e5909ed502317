//! The calls and reports on the bus, and their envelope.

pub mod code;
pub mod container;
pub mod envelope;
pub mod exec;
pub mod host;
pub mod operation;
pub mod report;

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

pub use code::{Code, Problem};

/// The version of the protocol. Receivers refuse newer versions with [`Code::Unsupported`].
pub const PROTOCOL: u32 = 1;

/// How the bus delivers a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Through the receiver's durable queue. The receiver acknowledges the call after the work. The bus may deliver it
    /// again, so its handler must be idempotent.
    Command,
    /// Through the receiver's query queue. Its messages are transient, so delivery never waits for a disk. For reads,
    /// and for changes whose caller waits for the result.
    Query,
}

/// A typed call. The reply to a command says that the work was accepted; a report carries the result.
pub trait Call: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The method on the wire, such as `container.start`.
    const METHOD: &'static str;
    /// Whether it is a command or a query, which decides the queue.
    const KIND: Kind;
    /// How long the sender tries to deliver the call and waits for its reply, if it expects one. Receivers refuse the
    /// call afterwards.
    const DEADLINE: Duration;
    /// Whether doing the work twice could have an effect that once does not. If the bus delivers such a call again, the
    /// receiver refuses it with [`Code::Uncertain`].
    const ONCE: bool = false;
    /// The type of the reply.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

/// The empty reply of a call that has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Done {}
