//! What the connection functions over Docker's own API share: dialling with a grant, upgrading, side
//! calls, multiplexed frames. It knows no console.

pub mod address;
mod call;
pub mod control_calls;
pub mod demux;
pub mod dial;
pub mod direct;
pub mod exit;
pub mod grants;
pub mod hijack;
pub(in crate::console) mod liveness;
pub mod stream;
pub mod upgrade;
