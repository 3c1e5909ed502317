//! The engine's event stream, over all its interruptions.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use zun_common::chain;
use zun_common::shutdown::Tasks;

use super::looks::Looks;
use crate::backoff::Backoff;
use crate::driver::{DriverError, EngineEvent};
use crate::host::{Host, within};
use crate::report::Sight;

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
const LISTS_WITHIN: Duration = Duration::from_mins(1);

/// Follows the engine until shutdown.
pub(crate) async fn follow(host: Arc<Host>, tasks: Tasks) {
    let looks = Looks::new(Arc::clone(&host), tasks.clone());
    tokio::select! {
        () = tasks.cancelled() => {}
        () = again_and_again(&host, &looks) => {}
    }
}

async fn again_and_again(host: &Host, looks: &Looks) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut away = false;
    loop {
        match begin(host, looks).await {
            Ok(events) => {
                tracing::info!(host.name = %host.name, "following the engine");
                away = false;
                backoff.reset();
                host.reconcile_needed.notify_one();
                host.engine_back.notify_one();
                pass_on(host, events, looks).await;
                tracing::warn!(host.name = %host.name, "the engine's events ended");
                host.reports.consoles_ended();
            }
            Err(error) => warn(host, &error, &mut away),
        }
        backoff.wait().await;
    }
}

/// Once for a row of failures.
fn warn(host: &Host, error: &DriverError, away: &mut bool) {
    if !std::mem::replace(away, true) {
        tracing::warn!(host.name = %host.name, error = %chain(error), "cannot follow the engine");
    }
}

/// First the stream, then a look at everything: nothing falls between the two.
async fn begin(host: &Host, looks: &Looks) -> Result<BoxStream<'static, EngineEvent>, DriverError> {
    let events = within(ANSWERS_WITHIN, "follow the engine's events", host.driver.events()).await?;
    let ticket = host.reports.ticket();
    let listed = within(LISTS_WITHIN, "list the containers", host.driver.list()).await?;
    let mut present = HashSet::with_capacity(listed.len());
    for seen in listed {
        present.insert(seen.container);
        host.reports.observe(ticket, seen.container, Sight::Seen(Box::new(seen)));
    }
    for container in host.reports.held_by_engine() {
        if !present.contains(&container) {
            looks.changed(container);
        }
    }
    Ok(events)
}

async fn pass_on(host: &Host, mut events: BoxStream<'static, EngineEvent>, looks: &Looks) {
    while let Some(event) = events.next().await {
        if let Some(exit) = event.exit {
            host.reports.exited(event.container, exit);
        }
        looks.changed(event.container);
    }
}
