//! `zun restart`

use clap::Args;

use super::goal::{Goal, reach, stop_timeout};
use crate::cmd::for_each::for_each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Restart containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun restart test
  zun restart --time 1 test   Kill it after one second if it does not stop")]
pub(in crate::cmd) struct Restart {
    /// Seconds to wait before SIGKILL (default the container's stop timeout, or 10; at most 86400)
    #[arg(short, long, visible_alias = "timeout", value_name = "SECONDS")]
    time: Option<u32>,
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Restart {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        for_each(context, &self.containers, async |name: String| {
            let was = context.api.show(&name).await?;
            context.api.act_with_grace(&was.uuid.to_string(), "reboot", self.time).await?;
            reach(&context.api, &was, Goal::Started, stop_timeout(self.time)).await.map(drop)
        })
        .await
    }
}
