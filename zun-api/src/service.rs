//! The service: what is started, in which order, and how it ends.
//!
//! Start: database, tokens, CA, consumers of the bus, listener. Stop: the listener takes nothing
//! more, waits are answered, open requests end, what they left behind is done, consumers end. The bus is
//! its owner's to close, after that.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use zun_common::bus::{Bus, RequestError};
use zun_common::shutdown::Tasks;

use crate::app::App;
use crate::auth::{AuthError, Authenticator};
use crate::ca::{CaError, CertificateAuthority};
use crate::db::{Db, DbError};
use crate::health::HealthMonitor;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::wait::Hub;
use crate::{http, reports};

/// For what is left behind answered requests, once the listener is closed.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Why zun-api does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nobody, or everybody, would be let in.
    #[error("callers cannot be told apart")]
    Auth(#[from] AuthError),
    /// The database cannot be opened.
    #[error("the database cannot be opened")]
    Database(#[from] DbFailure),
    /// The certificate authority cannot be read.
    #[error("the certificate authority in console.ca_directory cannot be used")]
    Ca(#[from] CaError),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The bus is closed.
    #[error("the bus cannot be used")]
    Bus(#[from] RequestError),
}

/// The database's failure; what it was is in the causes.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct DbFailure(#[from] DbError);

/// A running zun-api.
pub struct Service {
    address: SocketAddr,
    bus: Bus,
    closing: CancellationToken,
    listener: Tasks,
    background: Tasks,
    consumers: Tasks,
    drain: Duration,
}

/// Whether these settings can be started with, as far as that can be seen without starting.
pub fn check(settings: &Settings) -> Result<(), StartError> {
    Authenticator::new(settings)?;
    load_ca(settings)?;
    Ok(())
}

fn load_ca(settings: &Settings) -> Result<Option<CertificateAuthority>, CaError> {
    settings.console.ca_directory.as_deref().map(CertificateAuthority::load).transpose()
}

impl Service {
    /// Starts all of it. The address answers when this returns.
    pub async fn start(settings: Settings, bus: Bus, tasks: &Tasks) -> Result<Self, StartError> {
        let authenticator = Authenticator::new(&settings)?;
        let ca = load_ca(&settings)?;
        let db = Db::open(&settings.database).await.map_err(DbFailure)?;
        let closing = tasks.token().child_token();
        let (listener, background, consumers) = (tasks.child(), tasks.child(), tasks.child());
        let app = Arc::new(App {
            authenticator,
            metrics: Metrics::new(),
            hub: Hub::new(settings.http.waiters, closing.clone()),
            db,
            bus,
            ca,
            tasks: background.clone(),
            closing: closing.clone(),
            settings,
        });
        reports::serve(&app, &consumers).await?;
        app.redispatch_pending().await.map_err(DbFailure)?;
        let requested = app.settings.http.listen;
        let address = http::serve(&app, &listener).map_err(|cause| {
            consumers.cancel();
            background.cancel();
            StartError::Listen { address: requested, cause }
        })?;
        let drain = Duration::from_secs(app.settings.http.drain);
        tracing::info!("zun-api listens on {address}");
        let bus = app.bus.clone();
        Ok(Self { address, bus, closing, listener, background, consumers, drain })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who looks after it.
    pub fn health_monitor(&self) -> HealthMonitor {
        HealthMonitor::new(self.address, self.bus.clone())
    }

    /// Stops it in order. Ends when all has ended, or the time for it is over.
    pub async fn stop(self) {
        self.closing.cancel();
        // A little longer than actix gives its connections, so that it is actix that cuts them.
        let listener = self.listener.finish(self.drain + Duration::from_secs(1)).await;
        let background = self.background.finish(DRAIN_TIMEOUT).await;
        let consumers = self.consumers.finish(DRAIN_TIMEOUT).await;
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
