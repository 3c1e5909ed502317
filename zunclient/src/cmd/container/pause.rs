//! `zun pause`

use clap::Args;
use zun_common::status::Goal;

use super::goal::{COMMAND_TIMEOUT, reach};
use crate::cmd::for_each::for_each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Suspend all processes in containers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zun pause test")]
pub(in crate::cmd) struct Pause {
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Pause {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        for_each(context, &self.containers, async |name: String| {
            let was = context.api.show(&name).await?;
            context.api.act(&was.uuid.to_string(), "pause").await?;
            reach(&context.api, &was, Goal::Paused, COMMAND_TIMEOUT).await.map(drop)
        })
        .await
    }
}
