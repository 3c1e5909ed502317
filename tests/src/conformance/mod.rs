//! Suites that each implementation of a seam passes.

pub mod driver;
pub mod transport;
