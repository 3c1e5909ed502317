//! `zun start`

use std::time::Duration;

use clap::Args;
use zun_common::grant;
use zun_common::status::{Goal, Status};

use super::ending::Unfinished;
use super::goal::reach;
use super::session::{ConsoleFlags, OnOpen, Session, next_run};
use super::starting::{self, unless_ended};
use crate::cmd::for_each::for_each;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::tty::signals::Signals;

/// Start containers
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun start web1 web2
  zun start -a -i test   Start it and connect this terminal

Exit status: 0, or 1 if any container did not start. With -a or -i: the exit
code of the container's command, 0 after detaching, 1 if the container did not
start or zun could not attach, 125 if the session was lost.")]
pub(in crate::cmd) struct Start {
    /// Names or UUIDs of the containers (only one with -a or -i)
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
    /// Attach to the output, and exit with the exit code of the command
    #[arg(short, long)]
    attach: bool,
    /// Attach to stdin and the output
    #[arg(short, long)]
    interactive: bool,
    #[command(flatten)]
    console_flags: ConsoleFlags,
}

impl Start {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.attach || self.interactive {
            return Box::pin(self.attached(context)).await;
        }
        for_each(context, &self.containers, async |name: String| {
            let container = context.api.show(&name).await?;
            // Docker itself runs a restarting container again.
            if matches!(container.status, Status::Running | Status::Restarting) {
                return Ok(());
            }
            let id = container.uuid.to_string();
            context.api.start(&id).await.map_err(starting::refused)?;
            reach(&context.api, &container, Goal::Started, Duration::MAX).await.map(drop)
        })
        .await
    }

    async fn attached(&self, context: &Context) -> Result<Exit, Failure> {
        let [name] = self.containers.as_slice() else {
            return Err(Failure::new(
                "cannot attach to several containers: give one name with -a or -i",
            ));
        };
        let mut signals = Signals::catch()?;
        let container = context.api.show(name).await?;
        let session = Session {
            context,
            container: &container,
            console_flags: &self.console_flags,
            input: self.interactive,
            mode: grant::Mode::ReadWrite,
            signal_routing: self.console_flags.signal_routing(container.tty),
        };
        if container.status == Status::Restarting {
            unless_ended(&mut signals, next_run(context, &container)).await?;
        }
        // zun attaches before the start, even if the container has run before, so no output is missed.
        let runs = matches!(container.status, Status::Running | Status::Restarting);
        let opened = unless_ended(&mut signals, session.dial(!runs)).await?;
        let begin = match (runs, opened.console.has_screen) {
            (false, _) => OnOpen::Start,
            (true, false) => OnOpen::Redraw,
            (true, true) => OnOpen::Nothing,
        };
        session.hold(opened, begin, &mut signals).await.map_err(|unfinished| match unfinished {
            // As in docker, only the exit code of `run` shows why a command cannot be started.
            Unfinished::NeverBegan(failure) => {
                Failure { exit: failure.exit.map(|_code| Exit::FAILED), ..failure }
            }
            Unfinished::MayRun(failure) => failure,
        })
    }
}
