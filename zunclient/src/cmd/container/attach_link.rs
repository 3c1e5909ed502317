//! `zun attach --link`: a console that someone shared. It needs no account.

use std::path::Path;
use std::str::FromStr;

use async_trait::async_trait;
use tokio::sync::Notify;
use url::Url;
use zun_common::pty::Ticket;
use zun_common::shutdown::Tasks;

use super::ending;
use super::session::{ConsoleFlags, TerminalNeeds, terminal};
use super::starting::unless_ended;
use crate::auth::Values;
use crate::cmd::Failure;
use crate::console::pty::{Pty, TicketDial};
use crate::console::{ConsoleError, Proxies};
use crate::exit::Exit;
use crate::forward_signals::SIGNALS_TO_LEAVE;
use crate::out;
use crate::relay::{Ended, RelayContext, Remote, SignalRouting, Terminal, relay};
use crate::tty::Stdio;
use crate::tty::signals::Signals;

/// The path of the page that a link leads to.
const PAGE: &str = "/console";
/// The longest name that is shown.
const LONGEST_NAME: usize = 255;

/// A link of `zun share`.
#[derive(Debug, Clone)]
pub(super) struct Link {
    host: String,
    port: u16,
    ticket: Ticket,
    /// The container's name, for messages.
    name: String,
}

impl FromStr for Link {
    type Err = &'static str;

    /// The messages do not contain the link, because it is a secret.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const HINT: &str =
            "it must be a link that `zun share` prints, such as https://HOST:PORT/console#ticket=…";
        let url: Url = text.trim().parse().map_err(|_invalid| HINT)?;
        let host = url.host_str().filter(|_| url.scheme() == "https" && url.path() == PAGE);
        let (host, port) = host.zip(url.port_or_known_default()).ok_or(HINT)?;
        let field = |wanted: &str| {
            let fields = url::form_urlencoded::parse(url.fragment().unwrap_or_default().as_bytes());
            fields.into_iter().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
        };
        let ticket = field("ticket").and_then(|ticket| ticket.parse().ok()).ok_or(HINT)?;
        let is_plain = |name: &String| {
            name.len() <= LONGEST_NAME && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let name = field("name").filter(|name| !name.is_empty()).filter(is_plain);
        let name = name.unwrap_or_else(|| "the container".to_owned());
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self { host, port, ticket, name })
    }
}

/// A session that a link opens.
pub(super) struct LinkSession<'a> {
    pub(super) link: &'a Link,
    pub(super) console_flags: &'a ConsoleFlags,
    /// Whether zun sends its input, if the link allows it.
    pub(super) input: bool,
}

impl LinkSession<'_> {
    /// Opens the console, and holds it until it ends.
    pub(super) async fn run(&self) -> Result<Exit, Failure> {
        let tasks = Tasks::new();
        let ended = self.run_with(&tasks).await;
        tasks.cancel();
        ended
    }

    async fn run_with(&self, tasks: &Tasks) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let Link { host, port, ticket, name } = self.link.clone();
        let proxies = Proxies::from_environment();
        let dial = TicketDial {
            host,
            port,
            ticket,
            extra_roots: extra_roots()?,
            input: self.input,
            proxies,
        };
        let open = async {
            Pty::open_with_ticket(dial, tasks).await.map_err(|error| refused(&name, error))
        };
        let (console, shared) = Box::pin(unless_ended(&mut signals, open)).await?;
        if self.input && !shared.writes {
            out::notice(&format!("{name}: the link only allows watching"));
        }
        if console.running == Some(false) {
            out::notice(&format!("waiting for {name} to start"));
        }
        let needs = TerminalNeeds { tty: shared.tty, input: shared.writes };
        let redraws = console.running == Some(true)
            && shared.writes
            && !(console.has_screen && Stdio::of_process().stdout_is_terminal);
        let terminal = terminal(needs, self.console_flags, tasks)?;
        let terminal = Terminal { redraws, ..terminal };
        if terminal.raw.is_some() {
            signals.catch_stop()?;
        }
        let signal_routing = if shared.writes {
            self.console_flags.signal_routing(shared.tty)
        } else {
            SignalRouting::ToClient
        };
        let relay_context = RelayContext {
            signals: &mut signals,
            signal_routing,
            remote: &NoService,
            process_started: &Notify::new(),
        };
        let (ended, _) = relay(console, terminal, relay_context).await;
        concluded(&name, ended)
    }
}

/// There is no account, so nobody can be asked to send a signal that the gate cannot send.
struct NoService;

#[async_trait]
impl Remote for NoService {
    async fn signal(&self, _name: &str) -> bool {
        false
    }
}

fn extra_roots() -> Result<Vec<u8>, Failure> {
    let values = Values::from_environment();
    let Some(file) = values.get("cacert") else { return Ok(Vec::new()) };
    std::fs::read(Path::new(file)).map_err(|cause| {
        Failure::new(format!("cannot use the CA certificates in OS_CACERT: {cause}"))
    })
}

fn refused(name: &str, error: ConsoleError) -> Failure {
    let is_invalid = matches!(error, ConsoleError::Refused { status: 403 | 404, .. });
    let failure = Failure::from(error);
    if !is_invalid {
        return failure.context(name);
    }
    let why = "the link was used up, has expired or was revoked, or what it opens is gone; ask for another one";
    Failure { message: Some(format!("{name}: {why}")), ..failure }
}

fn concluded(name: &str, ended: Ended) -> Result<Exit, Failure> {
    match ended {
        Ended::Exited(code) => Ok(Exit::of_process(code)),
        Ended::NotStarted(code, reason) => {
            Err(Failure::with_exit(format!("{name}: {reason}"), Exit::of_process(code)))
        }
        Ended::Detached(_) => {
            out::notice(&format!("{name} is still running"));
            Ok(Exit::OK)
        }
        Ended::OutputClosed(closed) => Err(closed.into()),
        Ended::Signal(number) => Err(Failure::silent(Exit(number.exit_code()))),
        Ended::ForcedOut(number) => {
            let words = format!(
                "disconnected from {name} after {SIGNALS_TO_LEAVE} signals; it may still be running"
            );
            Err(Failure::with_exit(words, Exit(number.exit_code())))
        }
        Ended::ExitedLinkLost(code, why) => Err(ending::link_lost(name, code, &why)),
        Ended::Closed(closing) => Err(ending::closed(name, &closing, "ask for another link")),
        Ended::WithoutExitCode(why) => {
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            let message = format!("the console of {name} ended{why}; the exit code is not known");
            Err(Failure::with_exit(message, Exit::ZUN_FAILED))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_a_host_a_ticket_and_a_name() {
        let ticket = "A".repeat(43);
        let link = |text: String| text.parse::<Link>();
        let good = link(format!("https://console.example/console#ticket={ticket}&name=test"));
        let good = good.expect("a link");
        assert_eq!(
            (good.host.as_str(), good.port, good.name.as_str()),
            ("console.example", 443, "test")
        );
        assert_eq!(good.ticket.expose(), ticket);
        let short = link(format!("https://[::1]:2377/console#ticket={ticket}&name=%1b[2J"));
        let short = short.expect("a link");
        assert_eq!(
            (short.host.as_str(), short.port, short.name.as_str()),
            ("::1", 2377, "the container")
        );
        for bad in [
            String::new(),
            format!("http://h/console#ticket={ticket}"),
            format!("https://h/other#ticket={ticket}"),
            format!("https://h/console?ticket={ticket}"),
            "https://h/console#ticket=short".to_owned(),
        ] {
            let why = link(bad).expect_err("no link");
            assert!(!why.contains("AAAA"), "{why}");
        }
    }
}
