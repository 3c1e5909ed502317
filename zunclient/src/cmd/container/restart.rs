//! `zun restart`

use clap::Args;
use zun_common::status::{Action, Goal};

use super::goal::{reach, stop_timeout};
use super::limits::grace;
use super::stop::ends;
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

impl Restart {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        for_each(context, &self.containers, async |name: String| {
            let mut was = context.api.show(&name).await?;
            let id = was.uuid.to_string();
            let mut time = self.time;
            if let Some(signal) = self.signal.as_ref().filter(|_| was.status.allows(Action::Kill)) {
                // A process that still runs afterwards is killed.
                ends(&context.api, (&was, signal), self.time).await?;
                was = context.api.show(&id).await?;
                time = Some(0);
            }
            context.api.act_with_grace(&id, "reboot", time).await?;
            reach(&context.api, &was, Goal::Started, stop_timeout(time)).await.map(drop)
        })
        .await
    }
}
