//! Starts and stops the service.
//!
//! Start order: tokens, CA, database, bus consumers, listener. Stop order: waiting requests are answered, the
//! listener stops accepting, open requests finish, background work finishes, consumers end, the
//! database is closed. The owner of the bus
//! closes it afterwards.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use rustls::ClientConfig;
use tokio_util::sync::CancellationToken;
use zun_common::bus::{Bus, RequestError};
use zun_common::chain;
use zun_common::id::HostName;
use zun_common::shutdown::Tasks;

use crate::app::App;
use crate::app::containers::WaitingAccesses;
use crate::app::events::EventStreams;
use crate::auth::{AuthError, Authenticator, Policy};
use crate::ca::{CaError, CertificateAuthority};
use crate::db::container::ListedRows;
use crate::db::host::Record;
use crate::db::{self, Db, DbError};
use crate::health::HealthMonitor;
use crate::metrics::Metrics;
use crate::secrets::{KeyFileError, SecretKeys};
use crate::settings::Settings;
use crate::tls::{Tls, TlsError};
use crate::wait::{self, Hub};
use crate::{http, ledger, reports};

/// Time for background work to finish after the listener is closed, and again for the consumers.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why zun-api cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The authentication settings are not valid.
    #[error("cannot set up authentication")]
    Auth(#[from] AuthError),
    /// The database cannot be opened.
    #[error("cannot open the database")]
    Database(#[from] DbFailure),
    /// The CA cannot be read.
    #[error("cannot use the CA in console.ca_directory")]
    Ca(#[from] CaError),
    /// The settings of the listener are not valid.
    #[error("cannot use the settings in [http]")]
    Tls(#[from] TlsError),
    /// The keys cannot be read.
    #[error("cannot use the keys in secrets.key_file")]
    Secrets(#[from] KeyFileError),
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        #[source]
        cause: std::io::Error,
    },
    /// The bus is closed.
    #[error("cannot use the message bus")]
    Bus(#[from] RequestError),
}

/// A database error.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DbFailure(#[from] DbError);

/// A running zun-api.
pub struct Service {
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    bus: Bus,
    db: Db,
    self_check: Option<Arc<ClientConfig>>,
    closing: CancellationToken,
    listener: Tasks,
    background: Tasks,
    consumers: Tasks,
    drain: Duration,
}

/// Checks the files that the settings name: tokens, rules, certificates, the CA and keys. Does not open the database,
/// the listener or the bus.
pub fn check(settings: &Settings) -> Result<(), StartError> {
    Authenticator::new(settings)?;
    load_policy(settings)?;
    Tls::new(&settings.http)?;
    load_ca(settings)?;
    load_keys(settings)?;
    Ok(())
}

/// Serves agents and maintains the ledger, without a listener. `tasks` cancels everything, `consumers` only the service
/// for agents.
pub(crate) async fn serve_agents(
    settings: Settings,
    db: Db,
    bus: Bus,
    (tasks, consumers): (&Tasks, &Tasks),
) -> Result<Arc<App>, StartError> {
    let (closing, background) = (tasks.token().child_token(), tasks.child());
    let app = Arc::new(App {
        authenticator: Authenticator::new(&settings)?,
        policy: load_policy(&settings)?,
        metrics: Metrics::new(db.writes()),
        hub: Hub::new(settings.http.waiters, closing.clone()),
        db,
        listed: ListedRows::new(),
        bus,
        ca: load_ca(&settings)?,
        secrets: load_keys(&settings)?,
        event_streams: EventStreams::new(settings.events.streams),
        waiting_accesses: WaitingAccesses::default(),
        hosts_beating: AtomicU32::new(0),
        tasks: background.clone(),
        closing,
        settings,
    });
    reports::serve(&app, consumers).await?;
    if let Err(error) = app.reseal_registries().await {
        tracing::error!(error = %chain(&error), "cannot encrypt the passwords of registries with the newest key");
    }
    background.spawn(ledger::maintain(Arc::clone(&app), background.clone()));
    Ok(app)
}

fn load_policy(settings: &Settings) -> Result<Policy, AuthError> {
    let Some(path) = &settings.auth.policy_file else { return Ok(settings.policy.clone()) };
    let unusable = |cause| AuthError::PolicyFile { path: path.clone(), cause };
    settings.policy.with_file(path).map_err(unusable)
}

fn load_ca(settings: &Settings) -> Result<Option<CertificateAuthority>, CaError> {
    settings.console.ca_directory.as_deref().map(CertificateAuthority::load).transpose()
}

fn load_keys(settings: &Settings) -> Result<Option<SecretKeys>, KeyFileError> {
    settings.secrets.key_file.as_deref().map(SecretKeys::load).transpose()
}

/// Starts the listeners. Returns the address of the API, and of the metrics if they have their own.
fn listen(
    app: &Arc<App>,
    tls: Option<Tls>,
    tasks: &Tasks,
) -> Result<(SocketAddr, Option<SocketAddr>), StartError> {
    let failed = |address| move |cause| StartError::Listen { address, cause };
    let api = app.settings.http.listen;
    let metrics = app.settings.metrics.listen;
    let own = metrics
        .map(|address| http::serve_metrics(app, address, tasks).map_err(failed(address)))
        .transpose()?;
    if let Some(address) = own {
        tracing::info!("zun-api serves its metrics on http://{address}/metrics");
    }
    Ok((http::serve(app, tls, tasks).map_err(failed(api))?, own))
}

impl Service {
    /// Starts the service. It accepts requests when this returns.
    pub async fn start(settings: Settings, bus: Bus, tasks: &Tasks) -> Result<Self, StartError> {
        check(&settings)?;
        let tls = Tls::new(&settings.http)?;
        let self_check = tls.as_ref().map(|tls| Arc::clone(&tls.self_check));
        let db = Db::open(&settings.database).await.map_err(DbFailure)?;
        let (listener, consumers) = (tasks.child(), tasks.child());
        let app = serve_agents(settings, db, bus, (tasks, &consumers)).await?;
        let (background, closing) = (app.tasks.clone(), app.closing.clone());
        let (address, metrics_address) = listen(&app, tls, &listener).inspect_err(|_cause| {
            for tasks in [&consumers, &background, &listener] {
                tasks.cancel();
            }
        })?;
        let (hub, bus) = (&app.hub, &app.bus);
        if let Some(notifications) = bus.transport().notifications() {
            background.spawn(wait::exchange(hub.clone(), notifications, background.clone()));
        }
        let ends = (bus.clone(), background.clone());
        background.spawn(wait::poll(hub.clone(), app.db.clone(), ends));
        let drain = Duration::from_secs(app.settings.http.drain);
        tracing::info!("zun-api listens on {}://{address}", app.settings.http.scheme());
        let (bus, db) = (app.bus.clone(), app.db.clone());
        Ok(Self {
            address,
            metrics_address,
            bus,
            db,
            self_check,
            closing,
            listener,
            background,
            consumers,
            drain,
        })
    }

    /// The listen address.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the listener for metrics, if they have one of their own.
    pub const fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Whether a host has reported this console address and its processors.
    pub async fn has_host(&self, host: &HostName, console: &str) -> bool {
        let name = host.clone();
        let known = self.db.read(move |conn| db::host::by_name(conn, &name)).await;
        let reported = |host: Record| {
            let listener =
                host.console.is_some_and(|listener| listener.address.as_str() == console);
            listener && host.inventory.is_some()
        };
        known.ok().flatten().is_some_and(reported)
    }

    /// Returns a health monitor for this service.
    pub fn health_monitor(&self) -> HealthMonitor {
        HealthMonitor::new(self.address, self.self_check.clone(), self.bus.clone())
    }

    /// Stops the service. Returns when everything has ended or timed out.
    pub async fn stop(self) {
        self.closing.cancel();
        // Slightly longer than actix gives its connections, so that actix closes them.
        let listener = self.listener.finish(self.drain + Duration::from_secs(1)).await;
        let background = self.background.finish(DRAIN_TIMEOUT).await;
        let consumers = self.consumers.finish(DRAIN_TIMEOUT).await;
        self.db.close().await;
        log_stopped(&[
            ("listener", listener),
            ("background", background),
            ("consumers", consumers),
        ]);
    }
}

fn log_stopped(ended: &[(&str, bool)]) {
    let left: Vec<_> = ended.iter().filter(|(_, ended)| !ended).map(|(name, _)| *name).collect();
    tracing::info!(left = %left.join(", "), "zun-api has stopped");
}
