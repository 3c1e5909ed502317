//! `zun attach`

use clap::Args;
use zun_common::grant::{self, WaitCondition};
use zun_common::status::Status;

use super::session::{ConsoleFlags, OnOpen, Session, own_size};
use super::starting::unless_ended;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out;
use crate::relay::{SignalRouting, redraw};
use crate::tty::signals::Signals;

/// Connect this terminal to a container
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  zun attach test                       Connect to it; ctrl-p ctrl-q detaches
  zun attach --no-stdin test | tee log  Save its output

If the container has not started yet, zun waits until it starts.

Exit status: the exit code of the container's command, 0 after detaching, 125
if zun failed.")]
pub(in crate::cmd) struct Attach {
    /// Name or UUID of the container
    container: String,
    /// Do not attach stdin
    #[arg(long)]
    no_stdin: bool,
    /// Show output only, with a grant that does not allow input
    #[arg(long)]
    read_only: bool,
    #[command(flatten)]
    console_flags: ConsoleFlags,
}

impl Attach {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut signals = Signals::catch()?;
        let container = context.api.show(&self.container).await?;
        let session = Session {
            context,
            container: &container,
            console_flags: &self.console_flags,
            input: container.interactive && !self.no_stdin && !self.read_only,
            mode: if self.read_only { grant::Mode::ReadOnly } else { grant::Mode::ReadWrite },
            // Without stdin there are no detach keys, so Ctrl-C has to end zun itself.
            signal_routing: if self.no_stdin || self.read_only {
                SignalRouting::ToClient
            } else {
                self.console_flags.signal_routing(container.tty)
            },
        };
        let not_started = container.status == Status::Created;
        // If a started container stopped after `show`, Docker reports its exit at once.
        let until = if not_started { WaitCondition::NextExit } else { WaitCondition::NotRunning };
        let mut begin =
            if not_started || self.read_only { OnOpen::Nothing } else { OnOpen::Redraw };
        let console = unless_ended(&mut signals, session.dial(until, begin)).await?;
        // The process may run already although the service does not know it yet. If so, it printed its prompt before
        // zun attached, so zun redraws the screen.
        if not_started {
            let control = console.control.as_ref();
            let runs = async { Ok(container.tty && redraw(control, own_size()).await) };
            if unless_ended(&mut signals, runs).await? {
                begin = OnOpen::RedrawUnconfirmed;
            } else {
                out::notice(&format!("waiting for {} to start", container.name));
            }
        }
        Ok(session.hold(console, begin, &mut signals).await?)
    }
}
