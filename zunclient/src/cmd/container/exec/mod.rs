//! `zun exec`

mod collected;
mod on_disconnect;
mod session;

use clap::Args;
use zun_common::api::v1::exec::Execute;

use super::container_flags::{COMMON_OPTIONS, TerminalFlags, TerminalMode, given};
use super::environment::variables;
use super::session::{ConsoleFlags, own_size};
use crate::cmd::{Context, Failure};
use crate::console::EXEC_PROTOCOLS;
use crate::exit::Exit;
use crate::out;
use crate::tty::Stdio;
pub(super) use on_disconnect::OnDisconnect;
pub(super) use session::ExecSession;

const PROCESS: &str = "Process";

/// Run a command in a running container
#[derive(Debug, Args)]
#[command(
    override_usage = "zun exec [OPTIONS] CONTAINER COMMAND [ARGUMENT]...",
    after_help = "\
Examples:
  zun exec test ls -l /
  zun exec -e A=1 -w /tmp test env
  zun exec -i test sh                  Open a shell
  zun exec -i test cat < file > copy   Pipe a file through it, byte by byte
  zun exec -d test sleep 1000          Run it in the background
  zun exec --format json test uptime   Print {exit_code, stdout, stderr}

With --format json or yaml, zun prints one result at the end, with at most
64 MiB of each stream. The exit code is null if it is not known.

The command keeps running if a signal ends zun, or if zun loses its terminal or
the link. With --on-disconnect hup or kill, the host's console gate sends it
SIGHUP or SIGKILL after no client was connected for 30 seconds, or for the TIME
in hup:TIME. If the host has no console gate, zun asks the service to send the
signal when zun ends, which fails if zun is killed. Detaching never ends the
command.

Exit status: the exit code of the command (128+N if signal N killed it), 0
after detaching, 126 if the command is not executable, 127 if it was not found,
1 if zun failed, 125 if the session was lost."
)]
pub(in crate::cmd) struct Exec {
    /// Container, then the command and its arguments (zun's options go before the container)
    #[arg(
        required = true,
        num_args = 2..,
        trailing_var_arg = true,
        value_names = ["CONTAINER", "COMMAND"]
    )]
    container_and_command: Vec<String>,
    #[command(flatten)]
    terminal: TerminalFlags,
    /// Run in the background, without input or output
    #[arg(short, long, help_heading = COMMON_OPTIONS, display_order = 3)]
    detach: bool,
    /// Environment variable; NAME alone copies it from zun's environment (repeatable)
    #[arg(
        short,
        long,
        value_name = "NAME[=VALUE]",
        help_heading = COMMON_OPTIONS,
        display_order = 6
    )]
    env: Vec<String>,
    /// File of environment variables, one NAME[=VALUE] per line (repeatable)
    #[arg(long, value_name = "FILE", help_heading = PROCESS)]
    env_file: Vec<std::path::PathBuf>,
    /// Working directory, an absolute path (default the container's)
    #[arg(short, long, value_name = "DIR", help_heading = PROCESS)]
    workdir: Option<String>,
    /// User to run as, by name or number (default the container's)
    #[arg(short, long, value_name = "USER[:GROUP]", help_heading = PROCESS)]
    user: Option<String>,
    /// Grant all capabilities (administrators only)
    #[arg(long, help_heading = PROCESS)]
    privileged: bool,
    #[command(flatten)]
    console_flags: ConsoleFlags,
    /// If zun ends or loses its connection, keep the command, or send it SIGHUP or SIGKILL: keep, hup[:TIME], kill[:TIME] (default keep)
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "keep",
        hide_default_value = true,
        help_heading = "Session"
    )]
    on_disconnect: OnDisconnect,
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

    /// Decides whether the command gets stdin and a terminal. Collected output never comes from a terminal.
    fn mode(&self, context: &Context) -> Result<TerminalMode, Failure> {
        if self.detach {
            // As in Docker, -d with -t gives a terminal without input.
            return Ok(TerminalMode { interactive: false, tty: self.terminal.is_forced() });
        }
        let stdio = Stdio::of_process();
        let mut mode = self.terminal.decide(stdio, false)?;
        if !context.printer.format().is_text() {
            if self.terminal.is_forced() {
                let message = "cannot use -t with --format json or yaml: remove one of them";
                return Err(Failure::new(message));
            }
            mode.tty = false;
        }
        if mode.tty && mode.interactive && !stdio.stdin_is_terminal {
            out::notice("stdin is not a terminal; continuing without a terminal");
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
            user: given(self.user.as_ref()),
            workdir: given(self.workdir.as_ref()),
            privileged: self.privileged,
            console_size: own_size().filter(|_| mode.tty).map(|size| [size.rows, size.columns]),
            csr: None,
            protocols: EXEC_PROTOCOLS.map(str::to_owned).to_vec(),
        })
    }
}
