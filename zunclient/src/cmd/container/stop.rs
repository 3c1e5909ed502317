//! `zun stop`

use std::time::Duration;

use clap::Args;
use tokio::time::timeout;
use zun_common::api::v1::container::Container;
use zun_common::status::{Goal, Status};

use super::goal::{DEFAULT_GRACE, reach, stop_timeout};
use super::limits::grace;
use crate::api::Client;
use crate::cmd::for_each::for_each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Stop running containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun stop test
  zun stop --time 1 web1 web2
  zun stop --signal SIGINT test

Zun sends the stop signal of the container (SIGTERM, if neither the image nor
--stop-signal sets another), and SIGKILL if its process does not end in time.")]
pub(in crate::cmd) struct Stop {
    /// Seconds to wait before SIGKILL (default the container's stop timeout, or 10; at most 86400; -1 means 86400)
    #[arg(short, long, visible_alias = "timeout", value_name = "SECONDS", value_parser = grace)]
    time: Option<u32>,
    /// Signal to send instead of the container's stop signal, such as SIGINT
    #[arg(short, long, value_name = "SIGNAL")]
    signal: Option<String>,
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
            let id = was.uuid.to_string();
            let time = match &self.signal {
                Some(signal) if ends(&context.api, (&was, signal), self.time).await? => {
                    return Ok(());
                }
                Some(_) => Some(0),
                None => self.time,
            };
            context.api.act_with_grace(&id, "stop", time).await?;
            reach(&context.api, &was, Goal::Stopped, stop_timeout(time)).await.map(drop)
        })
        .await
    }
}

/// Sends a signal. Returns whether the container stops within the grace period.
pub(super) async fn ends(
    api: &Client,
    (was, signal): (&Container, &str),
    grace: Option<u32>,
) -> Result<bool, Failure> {
    api.kill(&was.uuid.to_string(), signal).await?;
    let grace = Duration::from_secs(u64::from(grace.unwrap_or(DEFAULT_GRACE)));
    let stopped = timeout(grace, reach(api, was, Goal::Stopped, Duration::MAX));
    Ok(matches!(stopped.await, Ok(Ok(_))))
}
