//! Shared code for connections to Docker's API: dialling with a grant, upgrades, control calls and multiplexed frames.
//! Nothing here depends on a console protocol.

pub mod address;
mod call;
pub mod control_calls;
pub mod dial;
pub mod direct;
pub mod exit;
pub mod grants;
pub mod hijack;
pub(in crate::console) mod liveness;
pub mod stream;
pub mod upgrade;
pub(in crate::console) mod websocket;
