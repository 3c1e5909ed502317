//! `zun share`

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Args;
use zun_common::pty::ticket::{LONGEST_LIFE, MOST_USES};

use super::{Context, Failure};
use crate::api::TicketRequest;
use crate::exit::Exit;
use crate::out::{self, clean};

/// Print a link that gives others access to a container's console
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun share test                   One person may join within 10 minutes
  zun share --read-only --uses 20 --for 1h test
                                   Up to 20 people may watch
  zun share --files test           One person may also copy files

The link opens a page in a browser, without an account. To join in a terminal
instead: ZUN_LINK='https://...' zun attach. Send the link over a channel that
you trust. `zun grants list` shows links that can still be used and
the sessions that they opened, and `zun grants revoke` ends both.")]
pub(super) struct Share {
    /// Name or UUID of the container
    container: String,
    /// Allow them to watch, but not to type
    #[arg(long)]
    read_only: bool,
    /// Allow them also to copy the container's files in and out, as root of the container
    #[arg(long, conflicts_with = "read_only")]
    files: bool,
    /// How long the link can open sessions, at most 1h; open sessions continue
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = life)]
    life: Duration,
    /// How many sessions the link can open, at most 100
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_USES)))]
    uses: u32,
    /// Share a command that runs in the container, by its exec ID (`zun sessions -o wide` shows it)
    #[arg(long, value_name = "ID")]
    exec: Option<String>,
}

fn life(text: &str) -> Result<Duration, String> {
    let life = humantime::parse_duration(text).ok();
    life.filter(|life| (1..=LONGEST_LIFE.as_secs()).contains(&life.as_secs()))
        .ok_or_else(|| "use a duration from 1s to 1h, such as 10m".to_owned())
}

impl Share {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let ask = TicketRequest {
            exec_id: self.exec,
            mode: if self.read_only { "ro" } else { "rw" },
            for_seconds: self.life.as_secs(),
            uses: self.uses,
            files: self.files,
        };
        let ticket = context.api.console_ticket(&self.container, &ask).await?;
        context.printer.value(&ticket, || ticket.url.clone())?;
        if std::io::stdout().is_terminal() {
            // The whole line can be copied.
            out::error_bytes(
                format!("or: ZUN_LINK='{}' zun attach\n", clean(&ticket.url)).as_bytes(),
            );
        }
        Ok(Exit::OK)
    }
}
