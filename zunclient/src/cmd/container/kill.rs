//! `zun kill`

use std::time::Duration;

use clap::Args;
use zun_common::status::Status;

use super::for_each::for_each_container;
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
        for_each_container(context, &self.containers, async |name: String| {
            context.api.kill(&name, &self.signal).await?;
            if matches!(self.signal.to_ascii_uppercase().as_str(), "SIGKILL" | "KILL" | "9") {
                return ended(context, &name).await;
            }
            Ok(())
        })
        .await
    }
}

/// Waits until the container has stopped, because no process survives SIGKILL.
async fn ended(context: &Context, name: &str) -> Result<(), Failure> {
    let statuses =
        [Status::Stopped, Status::Restarting, Status::Error, Status::Deleted, Status::Dead];
    match context.api.wait_for(name, &statuses, Duration::from_secs(10)).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        Ok(_) | Err(_) => Ok(()),
    }
}
