//! One session with a container's console, from connecting to the exit code.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::Args;
use tokio::sync::Notify;
use zun_common::api::v1::console::{AttachRequest, ConsoleEndpoint};
use zun_common::api::v1::container::Container;
use zun_common::api::v1::run::{Run, WaitRequest};
use zun_common::grant::{Mode, WaitCondition};
use zun_common::pki::signing_request;
use zun_common::secret::Secret;
use zun_common::shutdown::Tasks;
use zun_common::units::TerminalSize;

use super::ending::{self, Unfinished};
use super::starting::{self, Progress};
use crate::api::Client;
use crate::cmd::{Context, Failure};
use crate::console::{ATTACH_PROTOCOLS, Closing, Console, Dial, Renewal, Renewed, connection};
use crate::exit::Exit;
use crate::forward_signals::SIGNALS_TO_LEAVE;
use crate::out;
use crate::relay::{Ended, RelayContext, Remote, SignalRouting, Terminal, relay};
use crate::tty::Stdio;
use crate::tty::detach_keys::{DetachKeys, EscapeCharacter};
use crate::tty::escape::EscapeScanner;
use crate::tty::keys::Keys;
use crate::tty::letterbox::Letterbox;
use crate::tty::link_status::LinkStatus;
use crate::tty::raw::RawMode;
use crate::tty::screen::Screen;
use crate::tty::signals::Signals;
use crate::tty::size;

/// Flags of a session with a console.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Session")]
pub(super) struct ConsoleFlags {
    /// Key sequence for detaching; "" disables it (default ctrl-p,ctrl-q)
    #[arg(
        long,
        value_name = "KEYS",
        env = "ZUN_DETACH_KEYS",
        hide_env_values = true,
        default_value = "ctrl-p,ctrl-q",
        hide_default_value = true
    )]
    detach_keys: DetachKeys,
    /// Escape character, recognized at the start of a line: ~. disconnects, ~? prints help; 'none' disables it (default
    /// ~)
    #[arg(long, value_name = "CHAR", default_value = "~", hide_default_value = true)]
    escape: EscapeCharacter,
    /// Without a terminal: let signals end zun instead of forwarding them to the process
    #[arg(long)]
    no_sig_proxy: bool,
    /// Docker's form of the same: --sig-proxy=false
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        conflicts_with = "no_sig_proxy"
    )]
    sig_proxy: Option<bool>,
}

impl ConsoleFlags {
    /// Returns where zun sends the signals that it receives, with or without a terminal in the container.
    pub(super) const fn signal_routing(&self, tty: bool) -> SignalRouting {
        if tty || self.no_sig_proxy || matches!(self.sig_proxy, Some(false)) {
            SignalRouting::ToClient
        } else {
            SignalRouting::ToProcess
        }
    }
}

/// What a session is for.
pub(super) struct Session<'a> {
    pub(super) context: &'a Context,
    pub(super) container: &'a Container,
    pub(super) console_flags: &'a ConsoleFlags,
    /// Whether zun sends its input to the process.
    pub(super) input: bool,
    /// Whether the grant allows input.
    pub(super) mode: Mode,
    /// Where zun sends the signals that it receives.
    pub(super) signal_routing: SignalRouting,
}

/// How long one request waits until a run has begun.
const BEGUN: Duration = Duration::from_secs(5);

/// What is done once the console is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnOpen {
    /// The container is started.
    Start,
    /// Its screen is drawn again.
    Redraw,
    /// It is left as it is.
    Nothing,
}

/// An open console of a container.
pub(super) struct OpenConsole {
    pub(super) console: Console,
    /// The number of the run that it shows; `None` if the service is too old to say.
    run: Option<i64>,
    /// Whether that run had begun before the console was opened.
    pub(super) running: bool,
}

impl Session<'_> {
    fn id(&self) -> String {
        self.container.uuid.to_string()
    }

    /// Gets a grant and dials with it. With `before_start`, the console shows the next run.
    pub(super) async fn dial(&self, before_start: bool) -> Result<OpenConsole, Failure> {
        let renewal = self.renewal();
        let (ask, key) = renewal.ask(before_start)?;
        let endpoint = self.context.api.attach(&self.id(), &ask).await?;
        self.open((endpoint, key), renewal).await
    }

    /// Does the same for the first run of a container that its host may still be creating.
    pub(super) async fn dial_new(&self, progress: Progress) -> Result<OpenConsole, Failure> {
        let renewal = self.renewal();
        let (ask, key) = renewal.ask(true)?;
        let new = (self.container, progress);
        let endpoint = starting::console_once_created(&self.context.api, new, &ask);
        let endpoint = Box::pin(endpoint).await?;
        self.open((endpoint, key), renewal).await
    }

    fn renewal(&self) -> OfContainer {
        OfContainer { api: self.context.api.clone(), container: self.id(), mode: self.mode }
    }

    async fn open(
        &self,
        (endpoint, key): (ConsoleEndpoint, Secret<String>),
        renewal: OfContainer,
    ) -> Result<OpenConsole, Failure> {
        let Context { tasks, proxies, .. } = self.context;
        if self.input && !endpoint.stdin {
            out::notice(&format!("{} has no stdin; showing its output only", self.container.name));
        }
        let (run, running) = (endpoint.run, endpoint.running);
        // If a run ends before zun registers the wait for it, Docker reports its exit at once.
        let until = if running { WaitCondition::NotRunning } else { WaitCondition::NextExit };
        let dial = Dial {
            input: self.input,
            shows_screen: Stdio::of_process().stdout_is_terminal,
            until,
            renewal: Some(Arc::new(renewal)),
            proxies: proxies.clone(),
            ..Dial::new(endpoint, key, tasks.clone())
        };
        Ok(OpenConsole { console: connection(dial)?.open().await?, run, running })
    }

    /// Holds the console until it ends. The terminal is as before when this returns.
    pub(super) async fn hold(
        &self,
        opened: OpenConsole,
        begin: OnOpen,
        signals: &mut Signals,
    ) -> Result<Exit, Unfinished> {
        let api = &self.context.api;
        let OpenConsole { console, run: number, running } = opened;
        let id = self.id();
        let needs = TerminalNeeds { tty: self.container.tty, input: self.input };
        let mut terminal = set_up(needs, self.console_flags, (self.context, signals))?;
        terminal.redraws = begin == OnOpen::Redraw;
        let begun = Notify::new();
        let remote = ByApi { api, container: &id, run: number };
        let relay_context = RelayContext {
            signals,
            signal_routing: self.signal_routing,
            remote: &remote,
            process_started: &begun,
        };
        let start = async {
            if begin != OnOpen::Start {
                return std::future::pending().await;
            }
            if let Err(error) = api.start(&id).await {
                return starting::refused(error);
            }
            begun.notify_one();
            std::future::pending().await
        };
        // Asked before the start: a run that cannot begin ends the session too.
        let end = async {
            match number {
                Some(number) => ending::end_of(api, &id, number).await,
                None => std::future::pending().await,
            }
        };
        let relaying = relay(console, terminal, relay_context);
        tokio::pin!(start, end, relaying);
        let mut run = None;
        // The relay runs during the start, so the user can detach even if the service stalls.
        let (ended, bytes) = loop {
            tokio::select! {
                ended = &mut relaying => break ended,
                failure = &mut start => return Err(Unfinished::NeverBegan(failure)),
                answer = &mut end, if run.is_none() => {
                    let name = &self.container.name;
                    let failure = answer.as_ref().ok().and_then(|run| ending::never_began(name, run));
                    if let Some(failure) = failure {
                        return Err(Unfinished::NeverBegan(failure));
                    }
                    run = Some(answer.ok());
                }
            }
        };
        let run = match (run, &ended) {
            (Some(answer), _) => answer,
            (None, Ended::Exited(_)) => ending::answered(end, false).await,
            (None, Ended::WithoutExitCode(why)) => ending::answered(end, why.is_some()).await,
            (None, _) => None,
        };
        let waits = !running && begin == OnOpen::Nothing && bytes == 0;
        self.conclude(ended, run, waits).await
    }

    /// `waits` if nothing has shown that the process began.
    async fn conclude(
        &self,
        ended: Ended,
        run: Option<Run>,
        waits: bool,
    ) -> Result<Exit, Unfinished> {
        let name = self.container.name.as_str();
        self.remember(&ended);
        match ended {
            Ended::Detached(_) => {
                out::notice(&format!("{name} is still running; reattach with `zun attach {name}`"));
                Ok(Exit::OK)
            }
            Ended::OutputClosed(closed) => Err(Unfinished::MayRun(closed.into())),
            Ended::Signal(number) => {
                Err(Unfinished::MayRun(Failure::silent(Exit(number.exit_code()))))
            }
            Ended::ForcedOut(_number) => {
                let state = if waits { "may not have started yet" } else { "is still running" };
                let words = format!(
                    "disconnected from {name} after {SIGNALS_TO_LEAVE} signals; it {state}; reattach with `zun attach {name}`"
                );
                // Docker's command exits with 1 too.
                Err(Unfinished::MayRun(Failure::with_exit(words, Exit::FAILED)))
            }
            Ended::Exited(code) => ending::exited(name, code, run.as_ref()),
            Ended::NotStarted(code, reason) => {
                let message = format!("{name}: {reason}");
                Err(Unfinished::NeverBegan(Failure::with_exit(message, Exit::of_process(code))))
            }
            Ended::ExitedLinkLost(code, why) => {
                let next = format!("`zun logs {name}` shows it, unless the container was removed");
                Err(Unfinished::MayRun(ending::link_lost(name, code, &why).advise(&next)))
            }
            Ended::Closed(closing) => {
                let next = format!("reattach with `zun attach {name}`");
                Err(Unfinished::MayRun(ending::closed(name, &closing, &next)))
            }
            Ended::WithoutExitCode(why) => {
                let container = (&self.context.api, self.id());
                let container = (container.0, container.1.as_str(), name);
                ending::without_exit_code(container, why, run.as_ref()).await
            }
        }
    }
}

impl Session<'_> {
    /// Remembers a session that `zun attach` can reattach to.
    fn remember(&self, ended: &Ended) {
        let left_sessions = &self.context.left_sessions;
        match ended {
            Ended::Detached(_)
            | Ended::Signal(_)
            | Ended::ForcedOut(_)
            | Ended::OutputClosed(_)
            | Ended::Closed(Closing { may_run: true, .. })
            | Ended::WithoutExitCode(Some(_)) => left_sessions.left(self.container),
            Ended::Exited(_) | Ended::Closed(_) | Ended::ExitedLinkLost(..) => {
                left_sessions.ended(self.container);
            }
            Ended::NotStarted(..) | Ended::WithoutExitCode(None) => {}
        }
    }
}

/// Waits until Docker runs a restarting container again: Docker refuses to attach before that.
pub(super) async fn next_run(context: &Context, container: &Container) -> Result<(), Failure> {
    let id = container.uuid.to_string();
    let ask = WaitRequest {
        run: Some(container.run.unwrap_or_default() + 1),
        timeout: Some(BEGUN.as_secs()),
        begun: true,
        ..WaitRequest::default()
    };
    loop {
        let run = context.api.wait_for_run(&id, &ask).await?.run;
        if let Some(failure) = ending::never_began(&container.name, &run) {
            return Err(failure);
        }
        if run.started_at.is_some() || run.reason.is_some() {
            return Ok(());
        }
    }
}

/// What a session needs from the local terminal.
#[derive(Debug, Clone, Copy)]
pub(super) struct TerminalNeeds {
    /// The process has a terminal.
    pub(super) tty: bool,
    /// Whether zun sends its input to the process.
    pub(super) input: bool,
}

/// Sets up the terminal side of a session that has not begun yet.
fn set_up(
    needs: TerminalNeeds,
    console_flags: &ConsoleFlags,
    (context, signals): (&Context, &mut Signals),
) -> Result<Terminal, Unfinished> {
    let terminal = terminal(needs, console_flags, &context.tasks);
    let never = |error: io::Error| Unfinished::NeverBegan(Failure::from(error));
    let terminal = terminal.map_err(never)?;
    if terminal.raw.is_some() || terminal.quiet.is_some() {
        signals.catch_stop().map_err(never)?;
    }
    Ok(terminal)
}

/// Sets up the terminal side. The terminal enters raw mode only if the process has a terminal and zun sends it the
/// keys that a user types.
pub(super) fn terminal(
    needs: TerminalNeeds,
    console_flags: &ConsoleFlags,
    tasks: &Tasks,
) -> io::Result<Terminal> {
    let TerminalNeeds { tty, input } = needs;
    let stdio = Stdio::of_process();
    let (stdin, stdout) = (copy(io::stdin())?, copy(io::stdout())?);
    let person = tty && input && stdio.stdin_is_terminal;
    let sizes = match (tty, stdio) {
        (true, Stdio { stdout_is_terminal: true, .. }) => size::follow(copy(&stdout)?, tasks)?,
        (true, Stdio { stdin_is_terminal: true, .. }) => size::follow(copy(&stdin)?, tasks)?,
        (true | false, _) => size::none(),
    };
    let link_status = if tty && stdio.stdout_is_terminal && !out::is_dumb() {
        LinkStatus::in_line(console_flags.escape.0.filter(|_| person))
    } else {
        LinkStatus::by_messages(person)
    };
    let in_line = tty && stdio.stdout_is_terminal && !out::is_dumb();
    Ok(Terminal {
        letterbox: in_line.then(|| Letterbox::new(input)),
        link_status,
        raw: if person { Some(RawMode::enter(copy(&stdin)?)?) } else { None },
        quiet: if tty && !input && stdio.both_are_terminals() {
            RawMode::without_echo(copy(&stdin)?)?
        } else {
            None
        },
        keys: if input { Some(Keys::read(stdin)?) } else { None },
        scanner: person
            .then(|| EscapeScanner::new(&console_flags.detach_keys, console_flags.escape)),
        screen: Screen::write_to(stdout, copy(io::stderr())?)?,
        sizes,
        redraws: false,
    })
}

/// The size of the terminal that output goes to, or else of the one that keys come from.
pub(super) fn own_size() -> Option<TerminalSize> {
    size::size_of(io::stdout()).or_else(|| size::size_of(io::stdin()))
}

fn copy(descriptor: impl AsFd) -> io::Result<OwnedFd> {
    descriptor.as_fd().try_clone_to_owned()
}

/// Gets the grants for a container's console: the first one, and later ones that replace it.
struct OfContainer {
    api: Client,
    container: String,
    mode: Mode,
}

impl OfContainer {
    /// Returns the request for a grant, and the key that the grant will be for.
    fn ask(&self, before_start: bool) -> Result<(AttachRequest, Secret<String>), Failure> {
        let request = signing_request("zun", Vec::new())
            .map_err(|error| Failure::new(zun_common::chain(&error)))?;
        let protocols = ATTACH_PROTOCOLS.map(str::to_owned).to_vec();
        let ask = AttachRequest { csr: request.csr, protocols, mode: self.mode, before_start };
        Ok((ask, request.key))
    }
}

#[async_trait]
impl Renewal for OfContainer {
    async fn renew(&self) -> Result<Renewed, String> {
        let words = |failure: Failure| failure.message.unwrap_or_default();
        let (ask, key) = self.ask(false).map_err(words)?;
        let endpoint = self.api.attach(&self.container, &ask).await;
        let endpoint = endpoint.map_err(|error| words(Failure::from(error)))?;
        Ok(Renewed { tls: endpoint.tls, key, expires_at: endpoint.expires_at })
    }
}

/// Sends signals through the API, because the console itself cannot.
struct ByApi<'a> {
    api: &'a Client,
    container: &'a str,
    run: Option<i64>,
}

#[async_trait]
impl Remote for ByApi<'_> {
    async fn signal(&self, name: &str) -> bool {
        match self.api.kill(self.container, name).await {
            Ok(()) => return true,
            Err(error) if error.status() == Some(409) => {}
            Err(error) => return error.is_not_found(),
        }
        // The process may print before the service knows that it runs.
        let timeout = Some(BEGUN.as_secs());
        let ask = WaitRequest { run: self.run, timeout, begun: true, ..WaitRequest::default() };
        match self.api.wait_for_run(self.container, &ask).await {
            // It has ended: its exit code follows.
            Ok(waited) if waited.run.reason.is_some() => true,
            Ok(waited) if waited.run.started_at.is_some() => {
                self.api.kill(self.container, name).await.is_ok()
            }
            Ok(_not_begun) => false,
            Err(error) => error.is_not_found(),
        }
    }
}
