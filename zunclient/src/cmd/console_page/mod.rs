//! `zun console`: a container's console in the browser.

mod browser;

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep};
use zun_common::api::v1::console::ConsoleTicket;

use self::browser::{Opener, Redirect};
use super::{Context, Failure};
use crate::api::TicketRequest;
use crate::exit::Exit;
use crate::out;

/// How long the link opens the console.
const LIFE: Duration = Duration::from_mins(1);
/// How long zun waits for the browser.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(250);

/// Open a container's console in the browser
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun console test
  zun console --print test         Print the link instead

The link works once, within a minute. It needs no account, so keep it secret;
`zun share` prints links for others. Without a desktop, such as over SSH, zun
prints the link.")]
pub(super) struct Console {
    /// Name or UUID of the container
    container: String,
    /// Print the link instead of opening it
    #[arg(long)]
    print: bool,
    /// Only watch
    #[arg(long)]
    read_only: bool,
    /// Open a command that runs in the container, by its exec ID (`zun sessions -o wide` shows it)
    #[arg(long, value_name = "ID")]
    exec: Option<String>,
}

impl Console {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let ask = TicketRequest {
            exec_id: self.exec,
            mode: if self.read_only { "ro" } else { "rw" },
            for_seconds: LIFE.as_secs(),
            uses: 1,
        };
        let ticket = context.api.console_ticket(&self.container, &ask).await?;
        let opener = if self.print { None } else { Opener::of_this_desktop() };
        let Some(opener) = opener else {
            context.printer.value(&ticket, || ticket.url.clone())?;
            return Ok(Exit::OK);
        };
        // Every user of the machine can read command lines, so the browser gets the name of a file with the link.
        let redirect = Redirect::write(&ticket.url).map_err(|cause| {
            Failure::new(format!("cannot write a file for the browser: {cause}; use --print"))
        })?;
        if let Err(cause) = opener.open(redirect.path()) {
            out::notice(&format!("cannot start {}: {cause}", opener.program()));
            context.printer.value(&ticket, || ticket.url.clone())?;
            return Ok(Exit::OK);
        }
        if is_used(context, &ticket).await {
            Ok(Exit::OK)
        } else {
            let seconds = PATIENCE.as_secs();
            Err(Failure::new(format!(
                "the browser did not open the console within {seconds} s; use `zun console --print {}`, and open the link yourself",
                self.container
            )))
        }
    }
}

/// Waits until the ticket has opened a session. The file with the link is needed until then.
async fn is_used(context: &Context, ticket: &ConsoleTicket) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        sleep(PAUSE).await;
        let Ok(list) = context.api.grants().await else { continue };
        let own = list.grants.iter().find(|grant| grant.id == ticket.id);
        let is_waiting = own.is_some_and(|grant| grant.sessions == 0 && grant.uses.is_some());
        if !is_waiting && list.silent_hosts.is_empty() {
            return true;
        }
    }
    false
}
