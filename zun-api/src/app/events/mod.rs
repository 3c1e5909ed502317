//! Streams of events. Each stream reads from the database whenever there may be new events, and so never skips one,
//! however slow its client is. It needs no memory for events that its client has not read.

mod filter;
mod follow;

use std::sync::Arc;

use chrono::NaiveDateTime;
use tokio::sync::{Semaphore, mpsc};
use zun_common::chain;

pub(crate) use filter::{EventFilter, InvalidFilter};
pub(crate) use follow::Item;
use follow::{Follow, QUEUE};

use super::{App, AppError, Caller, Permission};
use crate::db::Conn;
use crate::db::event::{self, Position, Selection};

/// Which events a client wants.
#[derive(Debug, Clone, Default)]
pub(crate) struct WantedEvents {
    pub(crate) all_projects: bool,
    /// The last position that the client has received.
    pub(crate) after: Option<Position>,
    pub(crate) since: Option<NaiveDateTime>,
    pub(crate) until: Option<NaiveDateTime>,
    pub(crate) filter: EventFilter,
}

/// Limits the number of streams.
pub(crate) struct EventStreams(Arc<Semaphore>);

impl EventStreams {
    /// Permits at most `limit` streams.
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))))
    }
}

impl App {
    /// Starts a stream of events. Dropping the receiver ends it.
    pub(crate) async fn events(
        self: &Arc<Self>,
        caller: &Caller,
        wanted: WantedEvents,
    ) -> Result<mpsc::Receiver<Item>, AppError> {
        let WantedEvents { all_projects, after, since, until, filter } = wanted;
        if all_projects {
            caller.require(Permission::SeeAllProjects)?;
        }
        if filter.is_by_host() {
            caller.require(Permission::FilterByHost)?;
        }
        let scope = if all_projects { caller.visible_scope() } else { caller.own_scope() };
        let permit = Arc::clone(&self.event_streams.0);
        let permit = permit.try_acquire_owned().map_err(|_all_taken| AppError::TooManyStreams)?;
        // Before the position is read: what is recorded after that wakes the stream.
        let recorded = self.hub.recorded();
        let start = move |conn: &mut Conn| event::start(conn, (after, since));
        let (position, since) = self.db.read(start).await?;
        let selection = Selection { scope, since, until };
        let (sender, items) = mpsc::channel(QUEUE + 1);
        let follow = Follow { sender, recorded, filter, until, closing: self.closing.clone() };
        let app = Arc::clone(self);
        self.tasks.spawn(async move {
            let _permit = permit;
            let read = |after| {
                let selection = selection.clone();
                app.db.read(move |conn| event::read(conn, &selection, after))
            };
            let is_notified = || app.bus.transport().is_connected();
            if let Err(error) = follow.run(position, (read, is_notified)).await {
                tracing::warn!(error = %chain(&error), "a stream of events ended: cannot read them");
            }
        });
        Ok(items)
    }
}
