//! `zun pause`

use std::time::Duration;

use clap::Args;
use zun_common::status::Status;

use super::for_each::for_each_container;
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
        for_each_container(context, &self.containers, async |name: String| {
            context.api.act(&name, "pause").await?;
            let statuses = [Status::Paused, Status::Stopped, Status::Error, Status::Deleted];
            let container = context.api.wait_for(&name, &statuses, Duration::from_secs(20)).await?;
            if container.status == Status::Paused {
                return Ok(());
            }
            Err(Failure::new(format!("its status is {}", container.status)))
        })
        .await
    }
}
