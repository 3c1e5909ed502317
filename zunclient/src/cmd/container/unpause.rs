//! `zun unpause`

use std::time::Duration;

use clap::Args;
use zun_common::status::Status;

use super::for_each::for_each_container;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Resume all processes in paused containers
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zun unpause test")]
pub(in crate::cmd) struct Unpause {
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Unpause {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        for_each_container(context, &self.containers, async |name: String| {
            context.api.act(&name, "unpause").await?;
            let statuses = [Status::Running, Status::Stopped, Status::Error, Status::Deleted];
            let container = context.api.wait_for(&name, &statuses, Duration::from_secs(20)).await?;
            if container.status == Status::Running {
                return Ok(());
            }
            Err(Failure::new(format!("its status is {}", container.status)))
        })
        .await
    }
}
