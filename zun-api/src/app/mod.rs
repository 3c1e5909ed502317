//! The operations of the API, without HTTP and SQL: permissions, preconditions and effects.

mod ask_hosts;
mod caller;
pub(crate) mod containers;
mod error;
pub(crate) mod events;
mod hosts;
pub(crate) mod images;
mod live_host;
mod metrics;
mod quotas;
mod recordings;
mod recover_host;
pub(crate) mod registries;
mod remove_stray;
mod replace_host;
pub(crate) mod resources;
pub(crate) mod services;
mod sessions;

use std::sync::atomic::{AtomicU32, Ordering};

use tokio_util::sync::CancellationToken;
use zun_common::bus::Bus;
use zun_common::shutdown::Tasks;

pub(crate) use caller::{Caller, IdempotencyKey};
pub(crate) use error::{AppError, InvalidField, NotServed};
pub(crate) use hosts::state_reason;
pub(crate) use recordings::RecordingQuery;

pub(crate) use crate::auth::Permission;

use crate::auth::{Authenticator, Policy};
use crate::ca::CertificateAuthority;
use crate::db::Db;
use crate::db::container::ListedRows;
use crate::db::host::ClaimSettings;
use crate::metrics::Metrics;
use crate::secrets::SecretKeys;
use crate::settings::Settings;
use crate::wait::Hub;

/// The state that all requests share.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) authenticator: Authenticator,
    /// The policy from the settings and the policy file.
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    pub(crate) hub: Hub,
    pub(crate) db: Db,
    /// What lists have read.
    pub(crate) listed: ListedRows,
    pub(crate) bus: Bus,
    /// Without a CA there is no console access.
    pub(crate) ca: Option<CertificateAuthority>,
    /// Without keys no secrets are stored.
    pub(crate) secrets: Option<SecretKeys>,
    pub(crate) event_streams: events::EventStreams,
    pub(crate) waiting_accesses: containers::WaitingAccesses,
    /// The number of hosts that send heartbeats, as last counted.
    pub(crate) hosts_beating: AtomicU32,
    /// Work that continues after its request was answered.
    pub(crate) tasks: Tasks,
    /// Cancelled when the service begins to shut down.
    pub(crate) closing: CancellationToken,
}

/// The longest interval that zun-api requests, in seconds. Agents keep no longer one.
const LONGEST_INTERVAL: u32 = 20;

impl App {
    fn claim_settings(&self) -> ClaimSettings {
        ClaimSettings { scheduler: self.settings.scheduler, quotas: self.settings.quotas }
    }

    /// The heartbeat interval in seconds that zun-api requests from agents, so that all hosts together stay within
    /// `heartbeats.per_second`. Agents whose own interval is longer keep it.
    pub(crate) fn heartbeat_interval(&self) -> Option<u32> {
        let hosts = self.hosts_beating.load(Ordering::Relaxed);
        let seconds = hosts.div_ceil(self.settings.heartbeats.per_second.get());
        Some(seconds.min(LONGEST_INTERVAL)).filter(|seconds| *seconds > 0)
    }
}
