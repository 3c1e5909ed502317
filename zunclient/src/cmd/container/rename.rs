//! `zun rename`

use clap::Args;
use zun_common::api::v1::container::UpdateContainer;

use super::record::record;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Rename a container
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zun rename test web")]
pub(in crate::cmd) struct Rename {
    /// Name or UUID of the container
    container: String,
    /// New name: 2 to 255 letters, digits, `_`, `.` or `-`, starting with a letter or digit, and not like a UUID
    name: String,
}

impl Rename {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let ask = UpdateContainer { name: Some(self.name), ..UpdateContainer::default() };
        let container = context.api.update(&self.container, &ask).await?;
        context.printer.value(&record(&container), || container.name.clone())?;
        Ok(Exit::OK)
    }
}
