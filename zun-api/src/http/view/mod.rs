//! Converts database records to the API's responses.

mod action;
mod container;
mod detail;
mod gate;
mod host;
mod image;
mod registry;
mod resource;
mod run;

use chrono::{NaiveDateTime, Utc};

pub(super) use action::{action, action_with_events};
pub(super) use container::{container, containers};
pub(super) use gate::{Gated, TABLES};
pub(super) use host::{host, service};
pub(super) use image::image;
pub(super) use registry::registry;
pub(super) use resource::resource;
pub(super) use run::run;

use self::gate::Reader;
use super::links::BaseUrl;
use super::microversion::Microversion;
use crate::app::Caller;

/// The base URL, the microversion and the current time for a response.
#[derive(Debug, Clone)]
pub(super) struct ViewContext {
    pub(super) base: BaseUrl,
    pub(super) version: Microversion,
    pub(super) now: NaiveDateTime,
}

impl ViewContext {
    /// Returns who reads the response.
    fn reader(&self, caller: &Caller) -> Reader {
        Reader { version: self.version, is_admin: caller.is_admin() }
    }

    /// Returns the context with the current time, for requests that waited.
    pub(super) fn refreshed(self) -> Self {
        Self { now: Utc::now().naive_utc(), ..self }
    }
}
