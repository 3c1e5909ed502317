//! What agents tell and ask: reports of containers, heartbeats, certificates for hosts, and which
//! containers should be on a host.
//!
//! A sender speaks for its own host alone. With the bus's permissions this keeps a host that fell into
//! the wrong hands from touching what is on others.

mod answers;
mod container;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use zun_common::bus::{Incoming, RequestError, Route, Router};
use zun_common::chain;
use zun_common::id::HostName;
use zun_common::rpc::host::{
    AssignedContainers, GetCaBundle, Heartbeat, SignHostCertificate, SignProbe,
};
use zun_common::rpc::report::{ContainerReport, UnknownContainer};
use zun_common::rpc::{Code, Done, Problem};
use zun_common::shutdown::Tasks;

use crate::app::App;
use crate::db::{Conn, DbError, host};

/// What the database does not take is tried again so often, with pauses that grow from the first to the
/// last: five minutes in all. Then it goes back to the bus, and comes again.
const TRIES: u32 = 65;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Begins to take what agents tell and ask.
pub(crate) async fn serve(app: &Arc<App>, tasks: &Tasks) -> Result<(), RequestError> {
    let router = Arc::new(router(app));
    let prefetch = app.settings.bus.prefetch;
    for route in [Route::Reports, Route::Controller] {
        let deliveries = app.bus.transport().consume(route, prefetch).await?;
        router.serve(deliveries, tasks);
    }
    Ok(())
}

fn router(app: &Arc<App>) -> Router {
    /// Gives each call of a handler its own handle on the app.
    macro_rules! with_app {
        ($handler:path) => {{
            let app = Arc::clone(app);
            move |call, incoming| $handler(Arc::clone(&app), call, incoming)
        }};
    }
    Router::new()
        .on::<ContainerReport, _, _>(with_app!(container::reported))
        .on::<UnknownContainer, _, _>(with_app!(container::unknown))
        .on::<Heartbeat, _, _>(with_app!(beat))
        .on::<SignHostCertificate, _, _>(with_app!(answers::sign))
        .on::<SignProbe, _, _>(with_app!(answers::prove))
        .on::<GetCaBundle, _, _>(with_app!(answers::authorities))
        .on::<AssignedContainers, _, _>(with_app!(answers::assigned))
}

async fn beat(app: Arc<App>, heartbeat: Heartbeat, incoming: Incoming) -> Result<Done, Problem> {
    own(&heartbeat.host, &incoming)?;
    let (host, leaving) = (heartbeat.host.clone(), heartbeat.leaving);
    let counts = stored(&app, move |conn| host::beat(conn, &heartbeat)).await?;
    if counts && leaving {
        tracing::info!(host.name = %host, "the agent on host {host} is shutting down");
    }
    app.metrics.heartbeats.inc();
    Ok(Done {})
}

/// Refuses a sender that speaks for another host.
fn own(host: &HostName, incoming: &Incoming) -> Result<(), Problem> {
    if incoming.sender == host.as_str() {
        return Ok(());
    }
    tracing::warn!(
        host.name = %host, request.id = %incoming.context.request,
        "refused a message from {} on behalf of host {host}", incoming.sender
    );
    let words = format!("`{}` may not send messages on behalf of host `{host}`", incoming.sender);
    Err(Problem::new(Code::Forbidden, words))
}

/// Runs work on the database, more than once where it fails.
async fn stored<T, F>(app: &App, work: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: Fn(&mut Conn) -> Result<T, DbError> + Clone + Send + 'static,
{
    let (mut tried, mut pause) = (0, FIRST_PAUSE);
    loop {
        let error = match app.db.fact(work.clone()).await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if tried == 0 {
            tracing::error!(error = %chain(&error), "cannot store a message from an agent");
        }
        if !error.may_pass() {
            return Err(Problem::new(Code::Internal, "a database operation of zun-api failed"));
        }
        tried += 1;
        if tried >= TRIES || app.closing.run_until_cancelled(sleep(pause)).await.is_none() {
            return Err(Problem::new(Code::Busy, "the database of zun-api does not answer"));
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}
