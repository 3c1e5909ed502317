//! One session with a command that is run in a container: made, dialled, held, and brought to its end.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clap::ValueEnum;
use serde_json::json;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use zun_common::api::v1::exec::Execute;
use zun_common::grant::WaitCondition;
use zun_common::pki::signing_request;

use super::super::ending;
use super::super::session::{LeavingFlags, Wants, terminal};
use super::super::starting::unless_ended;
use super::collected;
use crate::api::Client;
use crate::cmd::{Context, Failure};
use crate::console::docker_exec::{self, Begun};
use crate::console::{Dial, Link, Renewal, Renewed, connection};
use crate::exit::Exit;
use crate::out::{self, Format, Table};
use crate::relay::{Ended, Outside, Remote, Terminal, relay};
use crate::tty::screen::Screen;
use crate::tty::signals::Signals;

/// What becomes of the command when its client is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum OnDisconnect {
    /// It runs on.
    #[default]
    Keep,
    /// It is killed, as far as somebody is left to ask for it.
    Kill,
}

/// How long the service may take to have it killed.
const KILLING: Duration = Duration::from_secs(5);

/// What a session is for.
pub(super) struct ExecSession<'a> {
    pub(super) context: &'a Context,
    pub(super) container: &'a str,
    pub(super) leaving: &'a LeavingFlags,
    pub(super) on_disconnect: OnDisconnect,
}

impl ExecSession<'_> {
    /// Runs it to its end, or until the person leaves.
    pub(super) async fn run(&self, ask: Execute) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let wants = Wants { tty: ask.tty == Some(true), input: ask.interactive };
        let open = async {
            let (exec, dial) = self.make(ask).await?;
            Ok((exec, connection(dial)?.open().await?))
        };
        let (exec, console) = unless_ended(&mut signals, open).await?;
        let terminal = terminal(wants, self.leaving, self.context)?;
        if terminal.raw.is_some() {
            signals.catch_stop()?;
        }
        let outside = Outside {
            signals: &mut signals,
            passing: self.leaving.passing(wants.tty),
            remote: &exec,
            begun: &Notify::new(),
        };
        if self.context.printer.format() == Format::Table {
            let (ended, _) = relay(console, terminal, outside).await;
            self.cut_off(&exec, &ended).await;
            return concluded(self.container, ended);
        }
        let (pieces, taken) = mpsc::channel(16);
        let terminal = Terminal { screen: Screen::to_channel(pieces), ..terminal };
        let ((ended, _), collected) =
            tokio::join!(relay(console, terminal, outside), collected::collect(taken));
        self.cut_off(&exec, &ended).await;
        let code = match ended {
            // There is no output of a command that never began.
            Ended::NotStarted(..) => return concluded(self.container, ended),
            Ended::Exited(code) | Ended::Broken(code, _) => Some(Exit::of_process(code)),
            Ended::Cut(_) | Ended::Left(_) | Ended::Closed | Ended::Signal(_) => None,
        };
        let collected = collected.map_err(|too_much| match ended {
            Ended::Signal(number) => Failure::silent(Exit(number.exit_code())),
            Ended::Exited(_)
            | Ended::NotStarted(..)
            | Ended::Broken(..)
            | Ended::Cut(_)
            | Ended::Left(_)
            | Ended::Closed => Failure::new(too_much.to_string()),
        })?;
        // What has come is told also where the rest was cut off.
        self.context.printer.show(&collected.shown(code), || Table::new(Vec::new()))?;
        concluded(self.container, ended)
    }

    /// Begins it without its streams.
    pub(super) async fn begin(&self, ask: Execute) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let begin = async {
            let (exec, dial) = self.make(ask).await?;
            Ok((exec, docker_exec::begin(&dial).await?))
        };
        let printer = self.context.printer;
        match unless_ended(&mut signals, begin).await? {
            (OfExec { exec, .. }, Begun::Running) if printer.format() != Format::Table => {
                printer.show(&json!({ "exec_id": exec }), || Table::new(Vec::new()))?;
                Ok(Exit::OK)
            }
            (_, Begun::Running) => Ok(Exit::OK),
            (_, Begun::NotRunnable { code, words }) => {
                Err(not_started(self.container, code, &words))
            }
        }
    }

    async fn make(&self, ask: Execute) -> Result<(OfExec, Dial), Failure> {
        let Context { api, tasks, proxies, .. } = self.context;
        let request = signing_request("zun", Vec::new())
            .map_err(|error| Failure::new(zun_common::chain(&error)))?;
        let ask = Execute { csr: Some(request.csr), ..ask };
        let executed = api.execute(self.container, &ask).await?;
        let (Some(endpoint), Some(exec)) = (executed.console, executed.exec_id) else {
            return Err(Failure::new("the service told no console for this command"));
        };
        let exec = OfExec { api: api.clone(), container: self.container.to_owned(), exec };
        let dial = Dial {
            endpoint,
            key: request.key,
            input: ask.interactive,
            until: WaitCondition::NextExit,
            renewal: Some(Arc::new(exec.clone())),
            link: Link::default(),
            proxies: proxies.clone(),
            tasks: tasks.clone(),
        };
        Ok((exec, dial))
    }

    /// We go and the command does not: what was asked for is done. Who leaves by keys wants it to go on.
    async fn cut_off(&self, exec: &OfExec, ended: &Ended) {
        let goes_on = match ended {
            Ended::Exited(_) | Ended::NotStarted(..) | Ended::Broken(..) | Ended::Left(_) => false,
            Ended::Cut(_) | Ended::Closed | Ended::Signal(_) => true,
        };
        if goes_on && self.on_disconnect == OnDisconnect::Kill {
            let killed = timeout(KILLING, exec.signal("SIGKILL")).await;
            if killed != Ok(true) {
                out::note("the command could not be killed; it may still run");
            }
        }
    }
}

/// The command, as the service knows it.
#[derive(Clone)]
struct OfExec {
    api: Client,
    container: String,
    exec: String,
}

#[async_trait]
impl Renewal for OfExec {
    async fn renew(&self) -> Result<Renewed, String> {
        let words = |error: &dyn std::error::Error| zun_common::chain(error);
        let request = signing_request("zun", Vec::new()).map_err(|error| words(&error))?;
        let asked = self.api.execute_attach(&self.container, &self.exec, &request.csr);
        let endpoint = asked.await.map_err(|error| words(&error))?;
        Ok(Renewed { tls: endpoint.tls, key: request.key, expires_at: endpoint.expires_at })
    }
}

#[async_trait]
impl Remote for OfExec {
    async fn signal(&self, name: &str) -> bool {
        match self.api.execute_kill(&self.container, &self.exec, name).await {
            Ok(()) => true,
            // It has just ended, or not yet begun: its exit code or its output says so.
            Err(error) => error.status() == Some(409),
        }
    }
}

fn not_started(container: &str, code: i64, reason: &str) -> Failure {
    Failure::with(format!("{container}: {reason}"), Exit::of_process(code))
}

fn concluded(container: &str, ended: Ended) -> Result<Exit, Failure> {
    match ended {
        Ended::Exited(code) => Ok(Exit::of_process(code)),
        Ended::NotStarted(code, reason) => Err(not_started(container, code, &reason)),
        Ended::Left(_) => {
            out::note("left the command running; an exec cannot be come back to");
            Ok(Exit::OK)
        }
        Ended::Closed => Ok(Exit::PIPE),
        Ended::Signal(number) => Err(Failure::silent(Exit(number.exit_code()))),
        Ended::Broken(code, why) => Err(ending::torn("the command", code, &why)),
        Ended::Cut(why) => {
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            let words =
                format!("the console of the command ended{why}; its exit code is not known");
            Err(Failure::with(words, Exit::ZUN))
        }
    }
}
