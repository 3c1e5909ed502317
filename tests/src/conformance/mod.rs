//! Conformance suites that every implementation of an interface must pass.

pub mod driver;
pub mod transport;
