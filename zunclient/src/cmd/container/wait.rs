//! `zun wait`

use std::time::Duration;

use clap::Args;
use zun_common::status::Status;

use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out;

/// Wait until containers end, and print their exit codes
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  zun wait test")]
pub(in crate::cmd) struct Wait {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Wait {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut exit = Exit::OK;
        for name in &self.containers {
            let failure = match ended(context, name).await {
                Ok(code) => {
                    context.printer.line(&code.to_string())?;
                    continue;
                }
                Err(failure) => failure,
            };
            out::note(&failure.about(name).words.unwrap_or_default());
            exit = Exit::FAILED;
        }
        Ok(exit)
    }
}

const ENDED: [Status; 4] = [Status::Stopped, Status::Error, Status::Deleted, Status::Dead];

async fn ended(context: &Context, name: &str) -> Result<i64, Failure> {
    // The id outlives a name that is taken again.
    let id = context.api.show(name).await?.uuid.to_string();
    loop {
        let container = context.api.wait_for(&id, &ENDED, Duration::from_mins(1)).await?;
        if !ENDED.contains(&container.status) {
            continue;
        }
        return container.exit_code.ok_or_else(|| {
            let why = container.status_reason.unwrap_or_else(|| "it told no exit code".to_owned());
            Failure::new(format!("is {}: {why}", container.status))
        });
    }
}
