//! Serves the calls of agents: registrations, heartbeats, reports of containers, certificates for hosts, and which
//! containers should be on a host.
//!
//! A sender may speak only for its own host. With the bus's permissions this keeps a compromised host from changing
//! what belongs to others.

mod answers;
mod container;
mod host_images;
mod image;
mod registry;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use zun_common::bus::{Incoming, RequestError, Route, Router};
use zun_common::chain;
use zun_common::id::{Epoch, HostName};
use zun_common::rpc::host::{
    AssignedContainers, GetCaBundle, ReportHostImages, SignHostCertificate, SignProbe,
};
use zun_common::rpc::image::ReportImage;
use zun_common::rpc::operation::{
    OpenOperations, RegisterAgent, Registered, ReportContainer, SendHeartbeat,
};
use zun_common::rpc::registry::GetRegistryLogin;
use zun_common::rpc::report::UnknownContainer;
use zun_common::rpc::{Code, Problem};
use zun_common::shutdown::Tasks;

use crate::app::App;
use crate::db::container as container_rows;
use crate::db::host::{self, HeartbeatResult, Registration};
use crate::db::operation::{HandOut, Open};
use crate::db::{Conn, DbError};

/// How many times work on the database is attempted. The agent repeats the call after that.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(2);

/// Starts to serve the calls.
pub(crate) async fn serve(app: &Arc<App>, tasks: &Tasks) -> Result<(), RequestError> {
    let router = Arc::new(router(app));
    let prefetch = app.settings.bus.prefetch;
    let deliveries = app.bus.transport().consume(Route::Controller, prefetch).await?;
    router.serve(deliveries, tasks);
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
        .on::<RegisterAgent, _, _>(with_app!(register))
        .on::<ReportContainer, _, _>(with_app!(container::reported))
        .on::<UnknownContainer, _, _>(with_app!(container::unknown))
        .on::<SendHeartbeat, _, _>(with_app!(beat))
        .on::<SignHostCertificate, _, _>(with_app!(answers::sign))
        .on::<SignProbe, _, _>(with_app!(answers::prove))
        .on::<GetCaBundle, _, _>(with_app!(answers::authorities))
        .on::<AssignedContainers, _, _>(with_app!(answers::assigned))
        .on::<ReportHostImages, _, _>(with_app!(host_images::reported))
        .on::<ReportImage, _, _>(with_app!(image::reported))
        .on::<GetRegistryLogin, _, _>(with_app!(registry::login))
}

async fn register(
    app: Arc<App>,
    agent: RegisterAgent,
    incoming: Incoming,
) -> Result<Registered, Problem> {
    own(&agent.host, &incoming)?;
    let host = agent.host.clone();
    match stored(&app, Stored::Durable, move |conn| host::register(conn, &agent)).await? {
        Registration::Begun { registered, is_recovering } => {
            let epoch = registered.epoch.0;
            tracing::info!(host.name = %host, epoch, "registered the agent of host {host}");
            if is_recovering {
                tracing::error!(
                    host.name = %host,
                    "the database was restored from a copy that is older than what host {host} has carried out: the host \
                     carries out no operations until an administrator runs `zun host recover {host}`"
                );
            }
            Ok(registered)
        }
        Registration::Refused { refusal, is_new } => {
            let words = refusal.to_string();
            if is_new {
                tracing::error!(host.name = %host, "refused to register an agent of host {host}: {words}");
            }
            Err(Problem::new(Code::Conflict, words))
        }
    }
}

async fn beat(
    app: Arc<App>,
    beat: SendHeartbeat,
    incoming: Incoming,
) -> Result<OpenOperations, Problem> {
    own(&beat.heartbeat.host, &incoming)?;
    let (host, leaving) = (beat.heartbeat.host.clone(), beat.heartbeat.leaving);
    let has_digest = beat.digest.is_some();
    let mut beaten = stored_heartbeat(&app, &beat, HandOut::Known).await?;
    if matches!(beaten, HeartbeatResult::HandsOut) {
        beaten = stored_heartbeat(&app, &beat, HandOut::All).await?;
    }
    let (Open { operations, complete_to, has_more }, now) = match beaten {
        HeartbeatResult::Stored { open, at } => (open, at),
        HeartbeatResult::HandsOut | HeartbeatResult::StaleEpoch => return Err(stale_epoch(&host)),
        HeartbeatResult::Older => {
            tracing::error!(
                host.name = %host,
                "the database was restored from a copy that is older than what host {host} has carried out: its agent must register again"
            );
            let words = format!(
                "the database was restored from a copy that is older than what host `{host}` has carried out; register again"
            );
            return Err(Problem::new(Code::StaleEpoch, words));
        }
    };
    if leaving {
        tracing::info!(host.name = %host, "the agent on host {host} is shutting down");
    }
    app.metrics.heartbeats.inc();
    let digest = if has_digest {
        let read = move |conn: &mut Conn| container_rows::digest(conn, &host);
        Some(stored(&app, Stored::Nothing, read).await?)
    } else {
        None
    };
    let interval = app.heartbeat_interval();
    let now = now.and_utc();
    Ok(OpenOperations { now, operations, complete_to, has_more, digest, interval })
}

/// A heartbeat that is lost is followed by another one. That operations were handed out must not be lost.
async fn stored_heartbeat(
    app: &App,
    beat: &SendHeartbeat,
    hand_out: HandOut,
) -> Result<HeartbeatResult, Problem> {
    let how = match hand_out {
        HandOut::Known => Stored::Relaxed,
        HandOut::All => Stored::Durable,
    };
    let beat = beat.clone();
    stored(app, how, move |conn| host::beat(conn, &beat, hand_out)).await
}

/// Whether a call is of another epoch than the host's current one. Older agents name none in some calls.
fn is_stale(conn: &mut Conn, host: &HostName, epoch: Option<Epoch>) -> Result<bool, DbError> {
    let Some(epoch) = epoch else { return Ok(false) };
    Ok(host::check_epoch(conn, host, epoch)?.is_none())
}

fn stale_epoch(host: &HostName) -> Problem {
    let words = format!("another agent of host `{host}` has registered since");
    Problem::new(Code::StaleEpoch, words)
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

/// What a power failure may lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// Nothing: the host does not repeat it.
    Durable,
    /// What the host reports again.
    Relaxed,
    /// Nothing is stored: the work only reads.
    Nothing,
}

/// Runs work on the database, several times if it fails.
async fn stored<T, F>(app: &App, how: Stored, work: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: Fn(&mut Conn) -> Result<T, DbError> + Clone + Send + 'static,
{
    let (mut tried, mut pause) = (0, FIRST_PAUSE);
    loop {
        let outcome = match how {
            Stored::Durable => app.db.write_durable(work.clone()).await,
            Stored::Relaxed => app.db.write_relaxed(work.clone()).await,
            Stored::Nothing => app.db.read(work.clone()).await,
        };
        let error = match outcome {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if tried == 0 {
            tracing::error!(error = %chain(&error), "cannot serve a message from an agent");
        }
        if !error.is_transient() {
            return Err(Problem::new(Code::Internal, "a database operation of zun-api failed"));
        }
        tried += 1;
        if tried >= TRIES || app.closing.run_until_cancelled(sleep(pause)).await.is_none() {
            return Err(Problem::new(Code::Busy, "the database of zun-api does not answer"));
        }
        pause = (pause * 2).min(LAST_PAUSE);
    }
}
