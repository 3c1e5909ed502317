//! `zun wait`

use std::time::Duration;

use clap::Args;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use serde::Serialize;
use zun_common::api::v1::container::Container;

use super::goal::{Goal, GoalState};
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
        // All waits run at the same time: one after the other could miss an exit.
        let waits: FuturesOrdered<_> =
            self.containers.iter().map(async |name| (name, ended(context, name).await)).collect();
        let mut waits = std::pin::pin!(waits);
        while let Some((container, outcome)) = waits.next().await {
            let exit_code = match outcome {
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

/// The first and the longest pause between requests while the service does not answer.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// Returns `true` if a later request may succeed.
fn is_temporary(error: &ApiError) -> bool {
    matches!(error, ApiError::Unreachable { .. } | ApiError::NoAnswer { .. })
        || error.status().is_some_and(|status| status >= 500)
}

async fn ended(context: &Context, name: &str) -> Result<i64, Failure> {
    // The name may be taken again, so the UUID is used.
    let mut now = context.api.show(name).await?;
    // The start of the awaited run, or `None` before the first run.
    let mut began = now.started_at;
    let decisive = Goal::Exited.decisive();
    let mut pause = FIRST_PAUSE;
    let mut noticed = false;
    loop {
        if Goal::Exited.state_in(now.status) == GoalState::Reached {
            return code(now);
        }
        if began.is_some() && now.started_at > began {
            let why = "it was restarted before its exit code was known; run `zun wait` again for the next run";
            return now.exit_code.ok_or_else(|| Failure::new(why));
        }
        began = began.or(now.started_at);
        now = match context.api.wait_for_news(&now, &decisive, Duration::from_mins(1)).await {
            Ok(container) => {
                (pause, noticed) = (FIRST_PAUSE, false);
                container
            }
            Err(error) if error.is_not_found() => {
                return Err(Failure::new("it was removed; its exit code is not known"));
            }
            // A wait may take hours, and the service may restart meanwhile.
            Err(error) if is_temporary(&error) => {
                if !noticed {
                    let message = Failure::from(error).context(name).message.unwrap_or_default();
                    out::notice(&format!("{message}; still waiting"));
                    noticed = true;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
                now
            }
            Err(error) => return Err(error.into()),
        };
    }
}

fn code(container: Container) -> Result<i64, Failure> {
    container.exit_code.ok_or_else(|| {
        let why = container.status_reason.unwrap_or_else(|| "it reported no exit code".to_owned());
        Failure::new(format!("its status is {}: {why}", container.status))
    })
}
