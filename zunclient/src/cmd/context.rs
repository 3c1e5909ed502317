//! What every verb gets.

use zun_common::shutdown::Tasks;

use super::refused_fields::RefusedFields;
use super::{Failure, Global};
use crate::api::Client;
use crate::console::Proxies;
use crate::left_sessions::LeftSessions;
use crate::out::{self, Printer};
use crate::settings::{Flags, settings};

/// What every verb gets: the API client, the printer and the background tasks.
pub struct Context {
    /// The API client.
    pub api: Client,
    /// The sessions that the user left.
    pub(crate) left_sessions: LeftSessions,
    /// Prints results.
    pub printer: Printer,
    /// The proxies for connections to hosts.
    pub proxies: Proxies,
    /// Owns the background tasks.
    pub tasks: Tasks,
    /// Replaces the fields of requests in messages.
    pub(super) refused_fields: RefusedFields,
}

impl Context {
    /// Creates it from the flags and the environment.
    pub(super) async fn new(
        global: &Global,
        refused_fields: RefusedFields,
    ) -> Result<Self, Failure> {
        let settings = settings(Flags {
            endpoint: global.os_endpoint.as_deref(),
            auth: global.os_auth_type,
            cloud: global.os_cloud.as_deref(),
            debug: global.debug,
        })
        .await?;
        let api = Client::new(&settings, out::notice)?;
        Ok(Self {
            left_sessions: LeftSessions::of(api.endpoint()),
            api,
            printer: Printer::new(global.format.clone().unwrap_or_default()),
            proxies: settings.proxies,
            tasks: Tasks::new(),
            refused_fields,
        })
    }
}
