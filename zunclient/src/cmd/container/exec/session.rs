//! A session with a command in a container: created, connected, relayed and concluded.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use zun_common::api::v1::console::{ConsoleEndpoint, PTY};
use zun_common::api::v1::exec::Execute;
use zun_common::grant::WaitCondition;
use zun_common::pki::signing_request;
use zun_common::secret::Secret;

use super::super::ending;
use super::super::session::{ConsoleFlags, TerminalNeeds, terminal};
use super::super::starting::unless_ended;
use super::collected;
use super::on_disconnect::OnDisconnect;
use crate::api::{ApiError, Client};
use crate::cmd::{Context, Failure};
use crate::console::docker_exec::{self, DetachedStart};
use crate::console::pty::Pty;
use crate::console::{Connection as _, Console, Dial, Renewal, Renewed, connection};
use crate::exit::Exit;
use crate::forward_signals::SIGNALS_TO_LEAVE;
use crate::out::{self, Table};
use crate::relay::{Ended, RelayContext, Remote, Terminal, relay};
use crate::tty::screen::Screen;
use crate::tty::signals::Signals;

/// How long the request for a signal may take.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(5);

/// What a session needs.
pub(in super::super) struct ExecSession<'a> {
    pub(in super::super) context: &'a Context,
    pub(in super::super) container: &'a str,
    pub(in super::super) console_flags: &'a ConsoleFlags,
    pub(in super::super) on_disconnect: OnDisconnect,
}

impl ExecSession<'_> {
    /// Runs the command until it exits or the user detaches.
    pub(super) async fn run(&self, ask: Execute) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let needs = TerminalNeeds { tty: ask.tty == Some(true), input: ask.interactive };
        let open = async {
            let (exec, dial) = self.create(ask, false).await?;
            Ok((exec, connection(dial)?.open().await?))
        };
        let opened = unless_ended(&mut signals, open).await?;
        let terminal = terminal(needs, self.console_flags, &self.context.tasks)?;
        self.hold(opened, (terminal, needs), &mut signals).await
    }

    /// Joins a command that runs already, at the host's console gate. `replaces` is the grant of the session that this one
    /// replaces. It is revoked, so that the gate does not keep output for it until the command has to wait.
    pub(in super::super) async fn rejoin(
        &self,
        exec: &str,
        needs: TerminalNeeds,
        replaces: Option<&str>,
    ) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let open = async {
            let (exec, dial) = self.locate(exec, needs.input).await?;
            let console = Box::new(Pty::new(&dial)?).open().await?;
            Ok((exec, console))
        };
        let opened = unless_ended(&mut signals, open).await?;
        if let Some(grant) = replaces {
            // If this fails, the former session ends by itself after a while.
            drop(self.context.api.revoke(grant).await);
        }
        let terminal = terminal(needs, self.console_flags, &self.context.tasks)?;
        let terminal = Terminal { redraws: needs.tty && needs.input, ..terminal };
        self.hold(opened, (terminal, needs), &mut signals).await
    }

    /// Holds the console until it ends.
    async fn hold(
        &self,
        (exec, console): (ExecHandle, Console),
        (terminal, needs): (Terminal, TerminalNeeds),
        signals: &mut Signals,
    ) -> Result<Exit, Failure> {
        if terminal.raw.is_some() {
            signals.catch_stop()?;
        }
        let gate_acts = console.acts_on_disconnect;
        let has_gate = console.running.is_some();
        let again = has_gate.then(|| out::short_id(&exec.exec));
        if self.on_disconnect.needs_gate() && !gate_acts {
            out::notice(
                "the host has no console gate that can wait: --on-disconnect acts as soon as zun ends",
            );
        }
        let relay_context = RelayContext {
            signals,
            signal_routing: self.console_flags.signal_routing(needs.tty),
            remote: &exec,
            process_started: &Notify::new(),
        };
        if self.context.printer.format().is_text() {
            let (ended, _) = relay(console, terminal, relay_context).await;
            if !gate_acts {
                self.signal_if_requested(&exec, &ended).await;
            }
            return concluded(self.container, ended, again.as_deref());
        }
        let (chunks, received) = mpsc::channel(16);
        let terminal = Terminal { screen: Screen::to_channel(chunks), ..terminal };
        let ((ended, _), collected) =
            tokio::join!(relay(console, terminal, relay_context), collected::collect(received));
        if !gate_acts {
            self.signal_if_requested(&exec, &ended).await;
        }
        let code = match ended {
            // There is no output of a command that never began.
            Ended::NotStarted(..) => return concluded(self.container, ended, again.as_deref()),
            Ended::Exited(code) | Ended::ExitedLinkLost(code, _) => Some(Exit::of_process(code)),
            Ended::WithoutExitCode(_)
            | Ended::Detached(_)
            | Ended::OutputClosed(_)
            | Ended::Closed(_)
            | Ended::Signal(_)
            | Ended::ForcedOut(_) => None,
        };
        let collected = collected.map_err(|too_large| match ended {
            Ended::Signal(number) | Ended::ForcedOut(number) => {
                Failure::silent(Exit(number.exit_code()))
            }
            Ended::Exited(_)
            | Ended::NotStarted(..)
            | Ended::ExitedLinkLost(..)
            | Ended::WithoutExitCode(_)
            | Ended::Closed(_)
            | Ended::Detached(_)
            | Ended::OutputClosed(_) => Failure::new(too_large.to_string()),
        })?;
        // Output that arrived is printed even if the rest was lost.
        self.context.printer.show(&collected.shown(code), Table::default)?;
        concluded(self.container, ended, again.as_deref())
    }

    /// Starts the command in the background, without its streams.
    pub(super) async fn start_detached(&self, ask: Execute) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let begin = async {
            let (exec, dial) = self.create(ask, true).await?;
            Ok((exec, docker_exec::start_detached(&dial).await?))
        };
        let printer = &self.context.printer;
        match unless_ended(&mut signals, begin).await? {
            (ExecHandle { exec, .. }, DetachedStart::Running) if !printer.format().is_text() => {
                printer.show(&json!({ "exec_id": exec }), Table::default)?;
                Ok(Exit::OK)
            }
            (_, DetachedStart::Running) => Ok(Exit::OK),
            // As in Docker, where the exit code of a command in the background is never known.
            (_, DetachedStart::NotRunnable { code: _, message }) => {
                Err(Failure::with_exit(format!("{}: {message}", self.container), Exit::FAILED))
            }
        }
    }

    async fn create(&self, ask: Execute, is_detached: bool) -> Result<(ExecHandle, Dial), Failure> {
        let Context { api, .. } = self.context;
        let request = signing_request("zun", Vec::new())
            .map_err(|error| Failure::new(zun_common::chain(&error)))?;
        let ask = Execute { csr: Some(request.csr), ..ask };
        let executed = api.execute(self.container, &ask).await;
        let executed = executed.map_err(|error| not_runnable(error, is_detached))?;
        let (Some(endpoint), Some(exec)) = (executed.console, executed.exec_id) else {
            return Err(Failure::new(
                "cannot connect to the command: the service sent no console for it; compare the versions of the client and the service with `zun version`",
            ));
        };
        Ok(self.dial(exec, (endpoint, request.key), (ask.interactive, false)))
    }

    /// Gets a grant for a command that runs already.
    async fn locate(&self, exec: &str, input: bool) -> Result<(ExecHandle, Dial), Failure> {
        let Context { api, .. } = self.context;
        let request = signing_request("zun", Vec::new())
            .map_err(|error| Failure::new(zun_common::chain(&error)))?;
        let ask = (request.csr.as_str(), [PTY].as_slice());
        let endpoint = api.execute_attach(self.container, exec, ask).await?;
        // Its earlier output may contain questions to the terminal, whose answers it would take for keys.
        let endpoint = ConsoleEndpoint { running: true, ..endpoint };
        let shows_screen = crate::tty::Stdio::of_process().stdout_is_terminal;
        Ok(self.dial(exec.to_owned(), (endpoint, request.key), (input, shows_screen)))
    }

    /// Says how to connect to a command.
    fn dial(
        &self,
        exec: String,
        (endpoint, key): (ConsoleEndpoint, Secret<String>),
        (input, shows_screen): (bool, bool),
    ) -> (ExecHandle, Dial) {
        let Context { api, tasks, proxies, .. } = self.context;
        let exec = ExecHandle { api: api.clone(), container: self.container.to_owned(), exec };
        let dial = Dial {
            input,
            shows_screen,
            on_disconnect: self.on_disconnect.request(),
            until: WaitCondition::NextExit,
            renewal: Some(Arc::new(exec.clone())),
            proxies: proxies.clone(),
            ..Dial::new(endpoint, key, tasks.clone())
        };
        (exec, dial)
    }

    /// Asks the service for the signal of `--on-disconnect`, unless the command has exited or the user detached.
    async fn signal_if_requested(&self, exec: &ExecHandle, ended: &Ended) {
        let still_runs = match ended {
            Ended::Exited(_)
            | Ended::NotStarted(..)
            | Ended::ExitedLinkLost(..)
            | Ended::Detached(_) => false,
            Ended::Closed(closing) => closing.may_run,
            Ended::WithoutExitCode(_)
            | Ended::OutputClosed(_)
            | Ended::Signal(_)
            | Ended::ForcedOut(_) => true,
        };
        if let (true, Some(signal)) = (still_runs, self.on_disconnect.signal())
            && timeout(SIGNAL_TIMEOUT, exec.signal(signal)).await != Ok(true)
        {
            out::notice(&format!(
                "the service did not confirm {signal} for the command, which may still be running"
            ));
        }
    }
}

/// The command, as the service knows it.
#[derive(Clone)]
struct ExecHandle {
    api: Client,
    container: String,
    exec: String,
}

#[async_trait]
impl Renewal for ExecHandle {
    async fn renew(&self) -> Result<Renewed, String> {
        let message = |error: &dyn std::error::Error| zun_common::chain(error);
        let request = signing_request("zun", Vec::new()).map_err(|error| message(&error))?;
        let ask = (request.csr.as_str(), [].as_slice());
        let asked = self.api.execute_attach(&self.container, &self.exec, ask);
        let endpoint = asked.await.map_err(|error| message(&error))?;
        Ok(Renewed { tls: endpoint.tls, key: request.key, expires_at: endpoint.expires_at })
    }
}

#[async_trait]
impl Remote for ExecHandle {
    async fn signal(&self, name: &str) -> bool {
        match self.api.execute_kill(&self.container, &self.exec, name).await {
            Ok(()) => true,
            // 409: the command has already ended or has not started yet. The session reports that, so it is not a
            // failure.
            Err(error) => error.status() == Some(409),
        }
    }
}

/// A command that the service refuses is one that Docker cannot run.
fn not_runnable(error: ApiError, is_detached: bool) -> Failure {
    let exit = (error.status() == Some(400) && !is_detached).then_some(Exit::of_process(126));
    Failure { exit, ..error.into() }
}

fn not_started(container: &str, code: i64, reason: &str) -> Failure {
    Failure::with_exit(format!("{container}: {reason}"), Exit::of_process(code))
}

/// `again` is what attaches to the command again, if there is a console gate.
fn concluded(container: &str, ended: Ended, again: Option<&str>) -> Result<Exit, Failure> {
    match ended {
        Ended::Exited(code) => Ok(Exit::of_process(code)),
        Ended::NotStarted(code, reason) => Err(not_started(container, code, &reason)),
        Ended::Detached(_) => {
            out::notice(&match again {
                Some(id) => format!(
                    "detached; the command is still running: reattach with `zun attach --session {id}`"
                ),
                None => "detached; the command is still running, but zun cannot attach to it again"
                    .to_owned(),
            });
            Ok(Exit::OK)
        }
        Ended::OutputClosed(closed) => Err(closed.into()),
        Ended::Signal(number) => Err(Failure::silent(Exit(number.exit_code()))),
        Ended::ForcedOut(number) => {
            let words = format!(
                "disconnected from the command after {SIGNALS_TO_LEAVE} signals; it may still be running"
            );
            Err(Failure::with_exit(words, Exit(number.exit_code())))
        }
        Ended::ExitedLinkLost(code, why) => Err(ending::link_lost("the command", code, &why)),
        Ended::Closed(closing) => {
            Err(ending::closed("the command", &closing, "it may still be running"))
        }
        Ended::WithoutExitCode(why) => {
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            let message =
                format!("the console of the command ended{why}; the exit code is not known");
            Err(Failure::with_exit(message, Exit::ZUN_FAILED))
        }
    }
}
