//! One session with a container's console: dialled, held, and brought to its end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::NaiveDateTime;
use clap::Args;
use tokio::sync::Notify;
use tokio::time::timeout;
use zun_common::api::v1::console::{AttachRequest, ConsoleEndpoint};
use zun_common::api::v1::container::Container;
use zun_common::grant::{Mode, WaitCondition};
use zun_common::pki::signing_request;
use zun_common::secret::Secret;
use zun_common::status::{Action, Status};
use zun_common::units::TerminalSize;

use super::ending;
use super::goal::{Goal, GoalState};
use super::starting;
use crate::api::Client;
use crate::cmd::{Context, Failure};
use crate::console::{ATTACH_PROTOCOLS, Console, Dial, LinkTimeouts, Renewal, Renewed, connection};
use crate::exit::Exit;
use crate::forward_signals::SIGNALS_TO_LEAVE;
use crate::out;
use crate::relay::{Ended, RelayContext, Remote, SignalRouting, Terminal, relay};
use crate::tty::Stdio;
use crate::tty::detach_keys::{DetachKeys, EscapeCharacter};
use crate::tty::escape::EscapeScanner;
use crate::tty::keys::Keys;
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
    /// Character that disconnects, typed at a line start and followed by a dot; none disables it (default ~)
    #[arg(long, value_name = "CHAR", default_value = "~", hide_default_value = true)]
    escape: EscapeCharacter,
    /// Without a terminal: let signals end zun instead of forwarding them to the process
    #[arg(long)]
    no_sig_proxy: bool,
}

impl ConsoleFlags {
    /// What becomes of signals, with or without a terminal in the container.
    pub(super) const fn signal_routing(&self, tty: bool) -> SignalRouting {
        if tty || self.no_sig_proxy { SignalRouting::ToClient } else { SignalRouting::ToProcess }
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
    /// What becomes of signals.
    pub(super) signal_routing: SignalRouting,
}

/// How long the service may take to say whether the process began.
const REASON: Duration = Duration::from_secs(5);

/// What is done once the console is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnOpen {
    /// The container is started.
    Start,
    /// It runs: its screen is drawn again.
    Redraw,
    /// It runs, and the service has not heard of that yet: its screen is drawn again too.
    RedrawUnconfirmed,
    /// It is left as it is.
    Nothing,
}

impl Session<'_> {
    fn id(&self) -> String {
        self.container.uuid.to_string()
    }

    /// Gets a grant and dials with it.
    pub(super) async fn dial(
        &self,
        until: WaitCondition,
        begin: OnOpen,
    ) -> Result<Console, Failure> {
        let Context { api, tasks, proxies, .. } = self.context;
        let renewal = OfContainer { api: api.clone(), container: self.id(), mode: self.mode };
        let (endpoint, key) = renewal.grant(begin == OnOpen::Start).await?;
        if self.input && !endpoint.stdin {
            out::notice(&format!("{} has no stdin; showing its output only", self.container.name));
        }
        let dial = Dial {
            endpoint,
            key,
            input: self.input,
            until,
            renewal: Some(Arc::new(renewal)),
            link: LinkTimeouts::default(),
            proxies: proxies.clone(),
            tasks: tasks.clone(),
        };
        Ok(connection(dial)?.open().await?)
    }

    /// Holds the console until it ends. The terminal is as before when this returns.
    pub(super) async fn hold(
        &self,
        console: Console,
        begin: OnOpen,
        signals: &mut Signals,
    ) -> Result<Exit, Unfinished> {
        let api = &self.context.api;
        let id = self.id();
        let needs = TerminalNeeds { tty: self.container.tty, input: self.input };
        let mut terminal = set_up(needs, self.console_flags, (self.context, signals))?;
        terminal.redraws = matches!(begin, OnOpen::Redraw | OnOpen::RedrawUnconfirmed);
        let started = starting::Start::default();
        let begun = Notify::new();
        let remote = ByApi { api, container: &id };
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
            if let Err(failure) = starting::start(api, self.container).await {
                return failure;
            }
            begun.notify_one();
            std::future::pending().await
        };
        let to_begin = begin == OnOpen::Start || self.waits(begin);
        // zun watches the container even before the start. With `--rm`, the reason of a failure disappears with it.
        let starts = async {
            tokio::select! {
                biased;
                failure = starting::watch(api, self.container, &started) => failure,
                failure = start => failure,
            }
        };
        tokio::pin!(starts);
        // The relay runs during the start, so the user can detach even if the service stalls.
        let (ended, bytes) = tokio::select! {
            ended = relay(console, terminal, relay_context) => ended,
            failure = &mut starts, if to_begin => return Err(Unfinished::NeverBegan(failure)),
        };
        // With --rm, Docker answers the wait with these codes if it could not start the process.
        let in_doubt = to_begin && bytes == 0 && matches!(ended, Ended::Exited(125..=128));
        if in_doubt {
            let said = async {
                tokio::select! {
                    failure = starts => Some(failure),
                    () = started.settled.notified() => None,
                }
            };
            if let Ok(Some(failure)) = timeout(REASON, said).await {
                return Err(Unfinished::NeverBegan(failure));
            }
        }
        self.conclude(ended, self.before(begin, &started, bytes)).await
    }

    /// Returns `true` if the session waits until somebody else starts the container.
    fn waits(&self, begin: OnOpen) -> bool {
        matches!(begin, OnOpen::Nothing | OnOpen::RedrawUnconfirmed)
            && self.container.status == Status::Created
    }

    fn before(&self, begin: OnOpen, start: &starting::Start, bytes: u64) -> Before {
        let waited = self.waits(begin);
        let began = if begin == OnOpen::Start || waited {
            start.began.get().copied().flatten()
        } else {
            self.container.started_at
        };
        Before { began, bytes, waited }
    }

    async fn conclude(&self, ended: Ended, before: Before) -> Result<Exit, Unfinished> {
        let name = &self.container.name;
        match ended {
            Ended::Detached(_) => {
                out::notice(&format!(
                    "{name} is still running; come back with `zun attach {name}`"
                ));
                Ok(Exit::OK)
            }
            Ended::OutputClosed => Ok(Exit::PIPE),
            Ended::Signal(number) => {
                Err(Unfinished::Later(Failure::silent(Exit(number.exit_code()))))
            }
            Ended::ForcedOut(number) => {
                let waits = before.waited && before.began.is_none();
                let state = if waits { "may not have started yet" } else { "is still running" };
                let words = format!(
                    "disconnected from {name} after {SIGNALS_TO_LEAVE} signals; it {state}; come back with `zun attach {name}`"
                );
                Err(Unfinished::Later(Failure::with_exit(words, Exit(number.exit_code()))))
            }
            Ended::Exited(code) => {
                ending::exited(&self.context.api, self.container, code, before).await
            }
            Ended::NotStarted(code, reason) => {
                let message = format!("{name}: {reason}");
                Err(Unfinished::NeverBegan(Failure::with_exit(message, Exit::of_process(code))))
            }
            Ended::ExitedLinkLost(code, why) => {
                Err(Unfinished::Later(ending::torn(name, code, &why)))
            }
            Ended::WithoutExitCode(why) => {
                let cut = ending::cut(&self.context.api, self.container, why).await;
                cut.map_err(Unfinished::Later)
            }
        }
    }
}

/// Why zun does not exit with the command's own exit code.
#[derive(Debug)]
pub(super) enum Unfinished {
    /// The command never started. With `--rm`, `zun run` then removes the container.
    NeverBegan(Failure),
    /// The command may have started, and may still be running.
    Later(Failure),
}

impl From<Unfinished> for Failure {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::NeverBegan(failure) | Unfinished::Later(failure) => failure,
        }
    }
}

/// What is known from before the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before {
    /// When the process began.
    pub(super) began: Option<NaiveDateTime>,
    /// How much it printed.
    pub(super) bytes: u64,
    /// It was attached to before somebody else started it.
    pub(super) waited: bool,
}

/// What a session wants of the terminal side.
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
    let terminal = terminal(needs, console_flags, context);
    let never = |error: io::Error| Unfinished::NeverBegan(Failure::from(error));
    let terminal = terminal.map_err(never)?;
    if terminal.raw.is_some() {
        signals.catch_stop().map_err(never)?;
    }
    Ok(terminal)
}

/// Sets up the terminal side. The terminal enters raw mode only if the process has a terminal and zun sends it the
/// keys that a user types.
pub(super) fn terminal(
    needs: TerminalNeeds,
    console_flags: &ConsoleFlags,
    context: &Context,
) -> io::Result<Terminal> {
    let TerminalNeeds { tty, input } = needs;
    let stdio = Stdio::of_process();
    let (stdin, stdout) = (copy(io::stdin())?, copy(io::stdout())?);
    let person = tty && input && stdio.stdin_is_terminal;
    let sizes = match (tty, stdio) {
        (true, Stdio { stdout_is_terminal: true, .. }) => {
            size::follow(copy(&stdout)?, &context.tasks)?
        }
        (true, Stdio { stdin_is_terminal: true, .. }) => {
            size::follow(copy(&stdin)?, &context.tasks)?
        }
        (true | false, _) => size::none(),
    };
    Ok(Terminal {
        raw: if person { Some(RawMode::enter(copy(&stdin)?)?) } else { None },
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

/// How long the service may take to record that the process has started.
const HEARD: Duration = Duration::from_secs(5);

/// Gets the grants for a container's console: the first one, and later ones that replace it.
struct OfContainer {
    api: Client,
    container: String,
    mode: Mode,
}

impl OfContainer {
    async fn grant(
        &self,
        before_start: bool,
    ) -> Result<(ConsoleEndpoint, Secret<String>), Failure> {
        let request = signing_request("zun", Vec::new())
            .map_err(|error| Failure::new(zun_common::chain(&error)))?;
        let protocols = ATTACH_PROTOCOLS.map(str::to_owned).to_vec();
        let ask = AttachRequest { csr: request.csr, protocols, mode: self.mode, before_start };
        Ok((self.api.attach(&self.container, &ask).await?, request.key))
    }
}

#[async_trait]
impl Renewal for OfContainer {
    async fn renew(&self) -> Result<Renewed, String> {
        let (endpoint, key) =
            self.grant(false).await.map_err(|failure| failure.message.unwrap_or_default())?;
        Ok(Renewed { tls: endpoint.tls, key, expires_at: endpoint.expires_at })
    }
}

/// Sends signals through the API, because the console itself cannot.
pub(super) struct ByApi<'a> {
    pub(super) api: &'a Client,
    pub(super) container: &'a str,
}

#[async_trait]
impl Remote for ByApi<'_> {
    async fn signal(&self, name: &str) -> bool {
        // The process may print before the service has heard that it runs.
        for _ in 0..3 {
            match self.api.kill(self.container, name).await {
                Ok(()) => return true,
                Err(error) if error.status() == Some(409) => {}
                Err(error) => return error.is_not_found(),
            }
            match self.api.wait_for(self.container, &Goal::Started.decisive(), HEARD).await {
                Ok(container) if container.status.allows(Action::Kill) => {}
                // If the container has just ended, its exit code follows, so the signal is not reported as failed. A
                // container that has not started cannot receive a signal.
                Ok(container) => {
                    return Goal::Started.state_in(container.status) != GoalState::Pending;
                }
                Err(error) => return error.is_not_found(),
            }
        }
        true
    }
}
