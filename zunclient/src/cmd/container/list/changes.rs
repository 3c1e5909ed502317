//! Follows the events of the service, to know when a list may have changed.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::super::starting::is_unreachable;
use crate::api::{Client, EventQuery, EventStream, Streamed};

/// The pauses between attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Where changes are learnt from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Source {
    /// Events arrive.
    Events,
    /// The connection is lost or not yet established.
    #[default]
    Lost,
    /// The service sends no events, for this reason.
    None(String),
}

/// Notifies the list that something may have changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    source: RefCell<Source>,
    changed: Notify,
}

impl Changes {
    pub(super) fn source(&self) -> Source {
        self.source.borrow().clone()
    }

    /// Waits until something may have changed since the last call.
    pub(super) async fn wait(&self) {
        self.changed.notified().await;
    }

    pub(super) fn set(&self, source: Source) {
        self.source.replace(source);
        self.changed.notify_one();
    }
}

/// Follows the events about containers. After a lost connection, something may have changed.
pub(super) async fn follow(api: &Client, all_projects: bool, changes: &Changes) -> Infallible {
    let kinds = BTreeMap::from([("type".to_owned(), vec!["container".to_owned()])]);
    let query = EventQuery { filters: kinds, all_projects, ..EventQuery::default() };
    let mut pause = FIRST_PAUSE;
    loop {
        match api.events(&query, None).await {
            Ok(stream) => {
                let begun = Instant::now();
                changes.set(Source::Events);
                read(stream, changes).await;
                changes.set(Source::Lost);
                // A stream that ends at once is no reason to connect faster.
                if begun.elapsed() > LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
            }
            Err(error) if is_unreachable(&error) || matches!(error.status(), Some(429 | 503)) => {}
            Err(error) => {
                changes.set(Source::None(zun_common::chain(&error)));
                return std::future::pending().await;
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Reads events until the stream ends.
async fn read(mut stream: EventStream, changes: &Changes) {
    while let Ok(Streamed::Event(_)) = stream.next().await {
        changes.changed.notify_one();
    }
}
