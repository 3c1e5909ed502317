//! What zun-api does, without HTTP and without SQL: who may, when it may, and what follows.

mod caller;
pub(crate) mod containers;
mod error;
mod hosts;

use tokio_util::sync::CancellationToken;
use zun_common::bus::Bus;
use zun_common::shutdown::Tasks;

pub(crate) use caller::{Caller, Permission};
pub(crate) use error::{AppError, InvalidField};

use crate::auth::Authenticator;
use crate::ca::CertificateAuthority;
use crate::db::Db;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::wait::Hub;

/// Everything that a request needs.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) authenticator: Authenticator,
    pub(crate) metrics: Metrics,
    pub(crate) hub: Hub,
    pub(crate) db: Db,
    pub(crate) bus: Bus,
    /// Without one there are no consoles.
    pub(crate) ca: Option<CertificateAuthority>,
    /// What goes on after its request was answered.
    pub(crate) tasks: Tasks,
    /// Cancelled when the service begins to stop.
    pub(crate) closing: CancellationToken,
}
