//! `zun wait`

use std::time::Duration;

use clap::Args;
use futures_util::stream::{FuturesOrdered, StreamExt as _};
use serde::Serialize;
use zun_common::api::v1::run::{Run, WaitRequest, Waited};
use zun_common::status::EndReason;

use super::ending::is_temporary;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out;

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
        let as_table = context.printer.format().is_text();
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
/// How long one request waits, in seconds.
const POLL: u64 = 60;

async fn ended(context: &Context, name: &str) -> Result<i64, Failure> {
    let mut container = name.to_owned();
    // The first request only finds out which run to wait for: another one may begin while the service is down.
    let mut ask = WaitRequest { timeout: Some(0), ..WaitRequest::default() };
    let mut pause = FIRST_PAUSE;
    let mut noticed = false;
    loop {
        match context.api.wait_for_run(&container, &ask).await {
            Ok(Waited { run, .. }) if run.reason.is_some() => return code(run),
            Ok(Waited { uuid, run }) => {
                // Another container may get the name.
                container = uuid.to_string();
                (ask.run, ask.timeout) = (Some(run.number), Some(POLL));
                (pause, noticed) = (FIRST_PAUSE, false);
            }
            // A wait may take hours, and the service may restart meanwhile.
            Err(error) if is_temporary(&error) => {
                if !std::mem::replace(&mut noticed, true) {
                    let message = Failure::from(error).context(name).message.unwrap_or_default();
                    out::notice(&format!("{message}; still waiting"));
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(MAX_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn code(run: Run) -> Result<i64, Failure> {
    run.exit_code.ok_or_else(|| {
        let why = match (run.message, run.reason) {
            (Some(why), _) => why,
            (None, Some(EndReason::Removed)) => {
                "it was removed; its exit code is not known".to_owned()
            }
            (None, _) => "its exit code is not known".to_owned(),
        };
        Failure::new(why.replace('\n', " "))
    })
}
