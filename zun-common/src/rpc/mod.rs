//! The calls and reports on the bus, and their envelope.

pub mod code;
pub mod console;
pub mod container;
pub mod digest;
pub mod envelope;
pub mod exec;
pub mod files;
pub mod host;
pub mod image;
pub mod operation;
pub mod registry;
pub mod report;

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

pub use code::{Code, Problem};

/// The version of the protocol. Receivers refuse newer versions with [`Code::Unsupported`].
pub const PROTOCOL: u32 = 1;

/// A typed call. A change of a container that must not get lost is an operation of the ledger, not a call.
pub trait Call: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The method on the wire, such as `container.top`.
    const METHOD: &'static str;
    /// How long the sender tries to deliver the call and waits for its reply. Receivers refuse the call afterwards.
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
