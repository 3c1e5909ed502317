//! The harness of the tests: what they share, no test itself.

pub mod conformance;
pub mod eventually;
pub mod proxy;
pub mod rabbit;
pub mod tls;
