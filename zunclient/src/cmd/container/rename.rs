//! `zun rename`

use clap::Args;
use zun_common::api::v1::container::UpdateContainer;

use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Give a container another name
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zun rename test web")]
pub(in crate::cmd) struct Rename {
    /// Name or id
    container: String,
    /// The new name
    name: String,
}

impl Rename {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let ask = UpdateContainer { name: Some(self.name), ..UpdateContainer::default() };
        let container = context.api.update(&self.container, &ask).await?;
        context.printer.value(&container, || container.name.clone())?;
        Ok(Exit::OK)
    }
}
