//! How things are shown.

mod container;
mod detail;
mod host;

use chrono::{NaiveDateTime, Utc};

pub(super) use container::{container, container_in_list};
pub(super) use host::{host, service};

use super::links::BaseUrl;

/// The base address of links and the time of the view.
#[derive(Debug, Clone)]
pub(super) struct ViewContext {
    pub(super) base: BaseUrl,
    pub(super) now: NaiveDateTime,
}

impl ViewContext {
    /// The same, once the request has taken its time.
    pub(super) fn refreshed(self) -> Self {
        Self { now: Utc::now().naive_utc(), ..self }
    }
}
