//! The agent of a compute host: it manages Docker's containers, answers calls over the bus and reports the state of containers.
//!
//! ```text
//!  bus ──operations──> rpc, control ──> worker (per container) ──> driver ──> engine
//!  bus ──queries─────> rpc ──────────────────────────────────────> driver       │ events
//!  bus <──reports, outcomes─── report (newest of each container) <── watch <────┘
//! ```

pub mod attached;
pub mod certificate;
pub mod console;
pub mod docker_setup;
pub mod driver;
pub mod health;
pub mod settings;

mod agent;
mod control;
mod engine_lock;
mod gate_control;
mod host;
mod identity;
mod ledger_position;
mod metrics;
mod operation_state;
mod probe;
mod report;
mod rpc;
mod strays;
mod unanswered;
mod watch;
mod worker;

pub use agent::{Agent, StartError};
pub use console::ConsoleStatus;
pub use engine_lock::LockError;
