//! What every verb is given.

use zun_common::shutdown::Tasks;

use super::{Failure, Global};
use crate::api::Client;
use crate::out::{self, Printer};
use crate::settings::settings;

/// The client, the printer, and the owner of all that runs beside.
pub struct Context {
    /// The service.
    pub api: Client,
    /// The output.
    pub printer: Printer,
    /// Owns tasks.
    pub tasks: Tasks,
}

impl Context {
    /// From the flags and the environment.
    pub(super) fn new(global: &Global) -> Result<Self, Failure> {
        let settings = settings(global.os_endpoint.as_deref(), global.os_auth_type, global.debug)?;
        Ok(Self {
            api: Client::new(&settings, out::note)?,
            printer: Printer::new(global.format),
            tasks: Tasks::new(),
        })
    }
}
