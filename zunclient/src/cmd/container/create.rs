//! `zun create`

use std::sync::OnceLock;

use clap::Args;
use serde_json::json;

use super::container_flags::{COMMON_OPTIONS, ContainerFlags};
use super::record::record;
use super::session::own_size;
use super::show::table;
use super::starting::{self, Progress, created, unless_ended};
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::tty::Stdio;
use crate::tty::signals::Signals;

/// Create a container without starting it
#[derive(Debug, Args)]
#[command(
    override_usage = "zun create [OPTIONS] IMAGE [COMMAND] [ARGUMENT]...",
    after_help = "\
Examples:
  zun create -i --name test cirros /bin/sh
  zun start -a -i test"
)]
pub(in crate::cmd) struct Create {
    #[command(flatten)]
    container_flags: ContainerFlags,
    /// Print only the container's UUID, and no pull progress
    #[arg(short, long, help_heading = COMMON_OPTIONS, display_order = 7)]
    quiet: bool,
}

impl Create {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let mode = self.container_flags.terminal.decide(Stdio::of_process(), false)?;
        let size = if mode.tty { own_size() } else { None };
        let mut ask = self.container_flags.request(mode, size)?;
        ask.stdin_once = mode.interactive && !mode.tty;
        let progress = if self.quiet { Progress::Hidden } else { Progress::Shown };
        let made = OnceLock::new();
        let create = async {
            let container = starting::create(&context.api, &ask, &mut signals, &made).await?;
            unless_ended(&mut signals, created(&context.api, container, progress)).await
        };
        match Box::pin(create).await {
            Ok(container) if self.quiet || context.printer.is_for_scripts() => {
                let id = container.uuid.to_string();
                context.printer.value(&json!({ "uuid": id }), || id.clone())?;
            }
            Ok(container) => context.printer.show(&record(&container), || table(&container))?,
            Err(failure) => {
                let cancelled = failure.message.is_none();
                if let Some(container) = made.get().filter(|_| cancelled) {
                    starting::discard(&context.api, container, &mut signals).await;
                }
                // Only a signal has its own exit code. A failed container is kept, and `zun show` prints the reason.
                return Err(Failure { exit: failure.exit.filter(|_| cancelled), ..failure });
            }
        }
        Ok(Exit::OK)
    }
}
