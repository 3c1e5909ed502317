//! The agent of a compute host: it drives the container engine, answers calls and reports what it sees.

pub mod driver;
