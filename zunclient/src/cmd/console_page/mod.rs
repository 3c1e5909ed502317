//! `zun console`: a container's console in the browser.

mod browser;
mod watch;

use std::time::Duration;

use clap::Args;
use tokio::time::sleep;
use zun_common::api::v1::console::ConsoleTicket;

use self::browser::{Opener, Redirect};
use self::watch::{Link, Watch};
use super::{Context, Failure};
use crate::api::TicketRequest;
use crate::exit::Exit;
use crate::out;
use crate::tty::signals::Signals;

/// How long the link opens the console.
const LIFE: Duration = Duration::from_mins(1);
/// How long zun waits for the browser: less than `LIFE`, because zun cannot distinguish an expired ticket from a used
/// one.
const BROWSER_TIMEOUT: Duration = Duration::from_secs(55);
/// How long zun waits before it also prints the link.
const HINT: Duration = Duration::from_secs(5);

/// Open a container's console in the browser
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun console test
  zun console --print test         Print the link instead

The link works once, within a minute. It needs no account, so keep it secret;
`zun share` prints links for others. Without a desktop, such as over SSH, zun
prints the link. It also does so if the browser fails, or does not open the
console within 5 seconds.")]
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
            files: !self.read_only,
        };
        let ticket = context.api.console_ticket(&self.container, &ask).await?;
        let opener = if self.print { None } else { Opener::of_this_desktop() };
        match opener {
            Some(opener) => {
                Opening { context, ticket, container: self.container }.run(opener).await
            }
            None => print(context, &ticket).map(|()| Exit::OK),
        }
    }
}

fn print(context: &Context, ticket: &ConsoleTicket) -> Result<(), Failure> {
    Ok(context.printer.value(ticket, || ticket.url.clone())?)
}

/// A link that the browser opens.
struct Opening<'a> {
    context: &'a Context,
    ticket: ConsoleTicket,
    container: String,
}

impl Opening<'_> {
    /// Starts the browser, and waits until the link is used. The file with the link is needed until then.
    async fn run(&self, opener: Opener) -> Result<Exit, Failure> {
        // Caught, so that no signal leaves the file behind.
        let mut signals = Signals::catch()?;
        // Every user of the machine can read command lines, so the browser gets the name of a file with the link.
        let redirect = Redirect::write(&self.ticket.url).map_err(|cause| {
            Failure::new(format!("cannot write a file for the browser: {cause}; use --print"))
        })?;
        let program = opener.program();
        let mut browser = match opener.open(redirect.path()) {
            Ok(browser) => browser,
            Err(cause) => return self.print_instead(&format!("cannot start {program}: {cause}")),
        };
        let mut watch = Watch::new(&self.ticket.id);
        tokio::select! {
            () = watch.until_used(async || self.context.api.grants().await.ok()) => return Ok(Exit::OK),
            status = browser.failed() => {
                let why = format!("{program} failed ({status}); open the link yourself");
                return self.print_instead(&why);
            }
            number = signals.ended() => return Err(Failure::silent(Exit(number.exit_code()))),
            hinted = self.hint() => hinted?,
        }
        self.not_seen(watch.link())
    }

    fn print_instead(&self, why: &str) -> Result<Exit, Failure> {
        out::notice(why);
        print(self.context, &self.ticket).map(|()| Exit::OK)
    }

    /// Prints the link if the browser is slow. Returns when zun waits no longer.
    async fn hint(&self) -> Result<(), Failure> {
        sleep(HINT).await;
        out::notice("waiting for the browser; if it shows no console, open the link yourself");
        print(self.context, &self.ticket)?;
        sleep(BROWSER_TIMEOUT.saturating_sub(HINT)).await;
        Ok(())
    }

    fn not_seen(&self, link: Link) -> Result<Exit, Failure> {
        let again = format!("`zun console --print {}` prints another link", self.container);
        match link {
            Link::Used => Ok(Exit::OK),
            Link::Unused => {
                let seconds = BROWSER_TIMEOUT.as_secs();
                Err(Failure::new(format!("nobody opened the console within {seconds} s; {again}")))
            }
            Link::Unknown => {
                out::notice(&format!("zun does not know whether the console is open; {again}"));
                Ok(Exit::OK)
            }
        }
    }
}
