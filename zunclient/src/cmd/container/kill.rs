//! `zun kill`

use clap::Args;
use zun_common::status::Goal;

use super::goal::{COMMAND_TIMEOUT, reach};
use crate::cmd::for_each::for_each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;

/// Send a signal to containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun kill test               Kill its process
  zun kill --signal HUP web   Send SIGHUP")]
pub(in crate::cmd) struct Kill {
    /// Signal name or number (default SIGKILL)
    #[arg(
        short,
        long,
        value_name = "SIGNAL",
        default_value = "SIGKILL",
        hide_default_value = true
    )]
    signal: String,
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Kill {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        for_each(context, &self.containers, async |name: String| {
            let was = context.api.show(&name).await?;
            context.api.kill(&was.uuid.to_string(), &self.signal).await?;
            // No process survives SIGKILL, so zun waits for its end. The next command then finds it stopped.
            if matches!(self.signal.to_ascii_uppercase().as_str(), "SIGKILL" | "KILL" | "9") {
                reach(&context.api, &was, Goal::Stopped, COMMAND_TIMEOUT).await?;
            }
            Ok(())
        })
        .await
    }
}
