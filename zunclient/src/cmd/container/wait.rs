//! `zun wait`

use std::time::Duration;

use clap::Args;
use serde::Serialize;
use zun_common::status::Status;

use crate::api::ApiError;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Format};

/// Wait until containers stop, then print their exit codes
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun wait test
  zun wait --format json test web   Print [{container, exit_code}] at the end

If the API does not answer, zun prints a notice and keeps waiting.

Exit status: 0, or 1 if the exit code of any container is not known.")]
pub(in crate::cmd) struct Wait {
    /// Names or UUIDs of the containers
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

impl Wait {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let as_table = context.printer.format() == Format::Table;
        let mut all = Vec::new();
        let mut exit = Exit::OK;
        for container in &self.containers {
            let exit_code = match ended(context, container).await {
                Ok(code) if as_table => {
                    context.printer.line(&code.to_string())?;
                    continue;
                }
                Ok(code) => Some(code),
                Err(failure) => {
                    out::notice(&failure.context(container).message.unwrap_or_default());
                    exit = Exit::FAILED;
                    None
                }
            };
            all.push(Ended { container, exit_code });
        }
        if !as_table {
            context.printer.value(&all, String::new)?;
        }
        Ok(exit)
    }
}

/// The result for one container.
#[derive(Serialize)]
struct Ended<'a> {
    container: &'a str,
    /// `null` if it is not known.
    exit_code: Option<i64>,
}

const ENDED: [Status; 4] = [Status::Stopped, Status::Error, Status::Deleted, Status::Dead];

/// The pauses between requests while the service does not answer.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// Returns `true` if a later request may succeed.
fn passes(error: &ApiError) -> bool {
    matches!(error, ApiError::Unreachable { .. } | ApiError::NoAnswer { .. })
        || error.status().is_some_and(|status| status >= 500)
}

async fn ended(context: &Context, name: &str) -> Result<i64, Failure> {
    // The name may be taken again, so the UUID is used.
    let id = context.api.show(name).await?.uuid.to_string();
    let mut pause = FIRST;
    let mut told = false;
    loop {
        let container = match context.api.wait_for(&id, &ENDED, Duration::from_mins(1)).await {
            Ok(container) => container,
            // A wait may take hours, and the service may restart meanwhile.
            Err(error) if passes(&error) => {
                if !told {
                    let message = Failure::from(error).context(name).message.unwrap_or_default();
                    out::notice(&format!("{message}; still waiting"));
                    told = true;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        (pause, told) = (FIRST, false);
        if !ENDED.contains(&container.status) {
            continue;
        }
        return container.exit_code.ok_or_else(|| {
            let why =
                container.status_reason.unwrap_or_else(|| "it reported no exit code".to_owned());
            Failure::new(format!("its status is {}: {why}", container.status))
        });
    }
}
