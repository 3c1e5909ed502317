//! `zun run`: creates a container, attaches to it, registers the wait, and only then starts it, so no output is lost.

use std::sync::OnceLock;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use zun_common::api::v1::container::Container;
use zun_common::grant;
use zun_common::status::Goal;

use super::container_flags::{COMMON_OPTIONS, ContainerFlags};
use super::ending::Unfinished;
use super::explain::explain;
use super::goal::reach;
use super::session::{ConsoleFlags, OnOpen, Session, own_size};
use super::starting::{self, Progress, created, unless_ended};
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::tty::Stdio;
use crate::tty::signals::Signals;

/// Run a command in a new container
#[derive(Debug, Args)]
#[command(
    override_usage = "zun run [OPTIONS] IMAGE [COMMAND] [ARGUMENT]...",
    after_help = "\
Examples:
  zun run -i --name test cirros /bin/sh     Open a shell
  zun run --rm cirros echo hello            Run it, then remove the container
  echo hello | zun run -i --rm cirros cat   Pipe data through a command
  zun run -d --name web cirros sleep 1000   Run in the background
  zun run --explain -m 2g cirros            Show where it would run, and why

Exit status: the exit code of the command (128+N if signal N killed it), 0
after detaching, 125 if zun failed, 126 if the command is not executable, 127
if it was not found."
)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the command line")]
pub(in crate::cmd) struct Run {
    #[command(flatten)]
    container_flags: ContainerFlags,
    /// Run in the background and print the container's UUID
    #[arg(short, long, help_heading = COMMON_OPTIONS, display_order = 3)]
    detach: bool,
    /// Suppress pull progress
    #[arg(short, long, help_heading = COMMON_OPTIONS, display_order = 7)]
    quiet: bool,
    /// Show which host would be chosen and why, what is pulled, and the limits; create nothing
    #[arg(long, help_heading = "Placement")]
    explain: bool,
    #[command(flatten)]
    console_flags: ConsoleFlags,
}

impl Run {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let mode = self.container_flags.terminal.decide(Stdio::of_process(), !self.detach)?;
        let size = if mode.tty { own_size() } else { None };
        let mut ask = self.container_flags.request(mode, size)?;
        ask.stdin_once = mode.interactive && !mode.tty && !self.detach;
        if self.explain {
            return unless_ended(&mut signals, explain(context, &ask)).await;
        }
        let progress = if self.quiet { Progress::Hidden } else { Progress::Shown };
        let made = OnceLock::new();
        let create = starting::create(&context.api, &ask, &mut signals, &made);
        let outcome = match Box::pin(create).await {
            Ok(container) if self.detach => {
                self.leave(context, (container, progress), &mut signals).await
            }
            Ok(container) => self.hold(context, (&container, progress), &mut signals).await,
            Err(failure) => Err(NeverStarted::before_start(failure)),
        };
        match (outcome, made.get()) {
            (Ok(outcome), _) => outcome,
            (Err(NeverStarted { failure, was_requested }), made) => {
                let cancelled = failure.message.is_none();
                let failure = self.explained(failure);
                let Some(container) = made else { return Err(failure) };
                let discards = self.container_flags.rm
                    || cancelled
                    || self.container_flags.misplaced_option().is_some()
                    || !was_requested && starting::has_failed(&context.api, container).await;
                if discards {
                    starting::discard(&context.api, container, &mut signals).await;
                }
                Err(failure)
            }
        }
    }

    /// Adds what the user probably did wrong.
    fn explained(&self, failure: Failure) -> Failure {
        let Some((image, word)) = self.container_flags.misplaced_option() else { return failure };
        failure.advise(&format!("zun's options go before the image: zun run {word} … {image}"))
    }

    async fn hold(
        &self,
        context: &Context,
        (container, progress): (&Container, Progress),
        signals: &mut Signals,
    ) -> Result<Result<Exit, Failure>, NeverStarted> {
        let session = Session {
            context,
            container,
            console_flags: &self.console_flags,
            input: container.interactive,
            mode: grant::Mode::ReadWrite,
            signal_routing: self.console_flags.signal_routing(container.tty),
        };
        let opened = unless_ended(signals, session.dial_new(progress))
            .await
            .map_err(NeverStarted::before_start)?;
        match session.hold(opened, OnOpen::Start, signals).await {
            Ok(exit) => Ok(Ok(exit)),
            // The command could not be run: with --rm nothing is left of it.
            Err(Unfinished::NeverBegan(failure)) => Err(NeverStarted::after_start(failure)),
            Err(Unfinished::MayRun(failure)) => Ok(Err(failure)),
        }
    }

    async fn leave(
        &self,
        context: &Context,
        (container, progress): (Container, Progress),
        signals: &mut Signals,
    ) -> Result<Result<Exit, Failure>, NeverStarted> {
        let id = container.uuid.to_string();
        let creation = Box::pin(created(&context.api, container, progress));
        let container =
            unless_ended(signals, creation).await.map_err(NeverStarted::before_start)?;
        let start = async {
            context.api.start(&id).await.map_err(starting::refused)?;
            let begun = reach(&context.api, &container, Goal::Started, Duration::MAX);
            Box::pin(begun).await.map_err(|failure| failure.context(&container.name))
        };
        unless_ended(signals, start).await.map_err(NeverStarted::after_start)?;
        let shown = context.printer.value(&json!({ "uuid": id }), || id.clone());
        Ok(shown.map(|()| Exit::OK).map_err(Failure::from))
    }
}

/// The command never started. zun removes the container after `--rm`, after a signal, and if its host could not create it,
/// and keeps it otherwise, as Docker does.
struct NeverStarted {
    failure: Failure,
    /// Whether the start may have been requested.
    was_requested: bool,
}

impl NeverStarted {
    const fn before_start(failure: Failure) -> Self {
        Self { failure, was_requested: false }
    }

    const fn after_start(failure: Failure) -> Self {
        Self { failure, was_requested: true }
    }
}
