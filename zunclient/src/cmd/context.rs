//! What every verb is given.

use zun_common::shutdown::Tasks;

use super::{Failure, Global};
use crate::api::Client;
use crate::console::Proxies;
use crate::out::{self, Printer};
use crate::settings::settings;

/// The client, the printer, and the owner of all that runs beside.
pub struct Context {
    /// The service.
    pub api: Client,
    /// The output.
    pub printer: Printer,
    /// The proxies on the way to consoles.
    pub proxies: Proxies,
    /// Owns tasks.
    pub tasks: Tasks,
}

impl Context {
    /// From the flags and the environment.
    pub(super) fn new(global: &Global) -> Result<Self, Failure> {
        let settings = settings(global.os_endpoint.as_deref(), global.os_auth_type, global.debug)?;
        Ok(Self {
            api: Client::new(&settings, out::notice)?,
            printer: Printer::new(global.format),
            proxies: settings.proxies,
            tasks: Tasks::new(),
        })
    }
}
