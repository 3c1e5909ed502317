//! `zun exec`

mod collected;
mod session;

use clap::Args;
use zun_common::api::v1::exec::Execute;

use super::container_flags::{TerminalFlags, TerminalMode, variables};
use super::session::{ConsoleFlags, own_size};
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Format};
use crate::tty::Stdio;
use session::{ExecSession, OnDisconnect};

/// Run another command in a running container
#[derive(Debug, Args)]
#[command(
    override_usage = "zun exec [OPTIONS] CONTAINER COMMAND [ARGUMENT…]",
    after_help = "\
Examples:
  zun exec test ls -l /
  zun exec -e A=1 -w /tmp test env
  zun exec -i test sh                 with this terminal
  zun exec -i test cat < file > copy  a pipe through it, byte by byte
  zun exec -d test sleep 1000         in the background
  zun exec --format json test uptime  {exit_code, stdout, stderr}, as text; null for a code that is not known
  zun exec test uptime --format json  is the command's own flag; zun's stand before the container

Output comes as it is printed, stdout and stderr apart, without a limit of size or time.

When this zun goes (its terminal is closed, a signal ends it, the link is lost) the engine lets the command run on.
With --on-disconnect kill, zun has it killed with SIGKILL before it goes itself. Where zun is killed itself, or its
machine dies, nobody is left to ask for that, and the command runs on. Leaving by detach keys keeps it too.

Exit code: the command's own; 125 zun failed, 126 not executable, 127 not found."
)]
pub(in crate::cmd) struct Exec {
    #[command(flatten)]
    terminal: TerminalFlags,
    /// Environment, NAME=VALUE, or NAME to take it from here; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A file of such lines
    #[arg(long, value_name = "FILE")]
    env_file: Vec<std::path::PathBuf>,
    /// The working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// The user (and group) to run as
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// With all capabilities
    #[arg(long)]
    privileged: bool,
    /// Begin it and leave it running in the background, without input
    #[arg(short, long)]
    detach: bool,
    /// What becomes of it when this zun is cut off: keep or kill
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, hide_possible_values = true)]
    on_disconnect: OnDisconnect,
    #[command(flatten)]
    console_flags: ConsoleFlags,
    /// The container, and the command with its arguments; what follows the container is not for zun
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_name = "CONTAINER")]
    container_and_command: Vec<String>,
}

impl Exec {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mode = self.mode(context)?;
        let (container, command) =
            self.container_and_command.split_first().ok_or_else(|| Failure::new("no container"))?;
        let ask = self.request(command, mode)?;
        let session = ExecSession {
            context,
            container,
            console_flags: &self.console_flags,
            on_disconnect: self.on_disconnect,
        };
        if self.detach { session.start_detached(ask).await } else { session.run(ask).await }
    }

    /// Only a person has a terminal by itself, and output that is collected has none.
    fn mode(&self, context: &Context) -> Result<TerminalMode, Failure> {
        if self.detach {
            // As with docker: there is a terminal, and nobody to type.
            return Ok(TerminalMode { interactive: false, tty: self.terminal.is_forced() });
        }
        let stdio = Stdio::of_process();
        let mut mode = self.terminal.decide(stdio, false)?;
        if context.printer.format() != Format::Table {
            if self.terminal.is_forced() {
                let message = "-t was given and the output is collected (--format); leave out one";
                return Err(Failure::new(message));
            }
            mode.tty = false;
        }
        if mode.tty && mode.interactive && !stdio.stdin_is_terminal {
            out::notice("stdin is not a terminal; going on without one");
            mode.tty = false;
        }
        Ok(mode)
    }

    fn request(&self, command: &[String], mode: TerminalMode) -> Result<Execute, Failure> {
        Ok(Execute {
            command: command.to_vec(),
            run: false,
            interactive: mode.interactive,
            tty: Some(mode.tty),
            environment: variables(&self.env_file, &self.env)?,
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            privileged: self.privileged,
            console_size: own_size().filter(|_| mode.tty).map(|size| [size.rows, size.columns]),
            csr: None,
        })
    }
}
