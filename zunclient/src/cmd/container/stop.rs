//! `zun stop`

use clap::Args;
use zun_common::status::Status;

use super::goal::{Goal, reach, stop_timeout};
use crate::cmd::for_each::for_each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Stop containers; those that do not run stay as they are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun stop test
  zun stop --time 1 web1 web2

Zun sends the stop signal of the container (SIGTERM, if neither the image nor
--stop-signal sets another), and SIGKILL if its process does not end in time.")]
pub(in crate::cmd) struct Stop {
    /// Seconds to wait before SIGKILL (default 10, at most 86400)
    #[arg(short, long, visible_alias = "timeout", value_name = "SECONDS")]
    time: Option<u32>,
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Stop {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        for_each(context, &self.containers, async |name: String| {
            let was = context.api.show(&name).await?;
            if matches!(was.status, Status::Created | Status::Stopped) && was.task_state.is_none() {
                return Ok(());
            }
            context.api.act_with_grace(&was.uuid.to_string(), "stop", self.time).await?;
            reach(&context.api, &was, Goal::Stopped, stop_timeout(self.time)).await.map(drop)
        })
        .await
    }
}
