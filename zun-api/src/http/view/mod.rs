//! How things are shown.

mod container;
mod detail;
mod host;

use chrono::{NaiveDateTime, Utc};

pub(super) use container::{container, container_in_list};
pub(super) use host::{host, service};

use super::links::Base;

/// Where the viewer looks from, and when.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    pub(super) base: Base,
    pub(super) now: NaiveDateTime,
}

impl Viewer {
    /// The same, once the request has taken its time.
    pub(super) fn later(self) -> Self {
        Self { now: Utc::now().naive_utc(), ..self }
    }
}
