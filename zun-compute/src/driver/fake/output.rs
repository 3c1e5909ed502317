//! What a process prints.

use chrono::{DateTime, Utc};
use zun_common::environment;

/// An output stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Stdout.
    Stdout,
    /// Stderr.
    Stderr,
}

/// A piece of output.
#[derive(Debug, Clone)]
pub(super) struct Printed {
    pub(super) at: DateTime<Utc>,
    pub(super) stream: Stream,
    pub(super) bytes: Vec<u8>,
}

impl Printed {
    pub(super) fn now(stream: Stream, bytes: &[u8]) -> Self {
        Self { at: environment::now(), stream, bytes: bytes.to_vec() }
    }
}
