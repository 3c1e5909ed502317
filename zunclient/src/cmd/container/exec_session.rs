//! One session with a command that is run in a container: made, dialled, held, and brought to its end.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Notify;
use zun_common::api::v1::exec::Execute;
use zun_common::grant::WaitCondition;
use zun_common::pki::signing_request;

use super::session::{LeavingFlags, Wants, terminal};
use super::starting::unless_ended;
use crate::api::Client;
use crate::cmd::{Context, Failure};
use crate::console::{Console, Dial, Link, Renewal, Renewed, connection};
use crate::exit::Exit;
use crate::out;
use crate::relay::{Ended, Outside, Remote, relay};
use crate::tty::signals::Signals;

/// What a session is for.
pub(super) struct ExecSession<'a> {
    pub(super) context: &'a Context,
    pub(super) container: &'a str,
    pub(super) leaving: &'a LeavingFlags,
}

impl ExecSession<'_> {
    /// Runs it to its end, or until the person leaves.
    pub(super) async fn run(&self, ask: Execute) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let wants = Wants { tty: ask.tty == Some(true), input: ask.interactive };
        let (exec, console) = unless_ended(&mut signals, self.dial(ask)).await?;
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
        let (ended, _) = relay(console, terminal, outside).await;
        concluded(ended)
    }

    async fn dial(&self, ask: Execute) -> Result<(OfExec, Console), Failure> {
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
        Ok((exec, connection(dial)?.open().await?))
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

fn concluded(ended: Ended) -> Result<Exit, Failure> {
    match ended {
        Ended::Exited(code) => Ok(Exit::of_process(code)),
        Ended::Left(_) => {
            out::note("left the command running; an exec cannot be come back to");
            Ok(Exit::OK)
        }
        Ended::Closed => Ok(Exit::PIPE),
        Ended::Signal(number) => Err(Failure::silent(Exit(number.exit_code()))),
        Ended::Cut(why) => {
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            let words =
                format!("the console of the command ended{why}; its exit code is not known");
            Err(Failure::with(words, Exit::ZUN))
        }
    }
}
