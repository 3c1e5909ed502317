//! `zun stop`

use std::time::Duration;

use clap::Args;
use zun_common::status::Status;

use super::for_each::for_each_container;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Stop containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun stop test
  zun stop --time 1 web1 web2

Zun sends the stop signal of the container (SIGTERM, if neither the image nor
--stop-signal sets another), and SIGKILL if its process does not end in time.")]
pub(in crate::cmd) struct Stop {
    /// Seconds to wait before SIGKILL (default 10, at most 86400)
    #[arg(short, long, value_name = "SECONDS")]
    time: Option<u32>,
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Stop {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let within = Duration::from_secs(u64::from(self.time.unwrap_or(10)) + 20);
        for_each_container(context, &self.containers, async |name: String| {
            context.api.act_with_grace(&name, "stop", self.time).await?;
            settle(context, &name, within).await
        })
        .await
    }
}

/// Waits until the container has stopped or is gone.
async fn settle(context: &Context, name: &str, within: Duration) -> Result<(), Failure> {
    let ended = [Status::Stopped, Status::Error, Status::Deleted, Status::Dead];
    match context.api.wait_for(name, &ended, within).await {
        Ok(container) if ended.contains(&container.status) => Ok(()),
        Ok(container) => Err(Failure::new(format!("its status is still {}", container.status))),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error.into()),
    }
}
