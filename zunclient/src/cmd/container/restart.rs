//! `zun restart`

use clap::Args;

use super::for_each::for_each_container;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Stop containers and start them again
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zun restart --time 1 test")]
pub(in crate::cmd) struct Restart {
    /// Seconds before SIGKILL
    #[arg(short, long, value_name = "SECONDS")]
    time: Option<u32>,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Restart {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        for_each_container(context, &self.containers, async |name: String| {
            Ok(context.api.act_with_grace(&name, "reboot", self.time).await?)
        })
        .await
    }
}
