//! `zun exec`

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::json;
use zun_common::api::v1::exec::{Execute, Executed};

use super::exec_session::ExecSession;
use super::session::{LeavingFlags, own_size};
use super::spec::{Mode, TerminalFlags, variables};
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Format, Table};
use crate::tty::Streams;

/// Run another command in a running container
#[derive(Debug, Args)]
#[command(
    override_usage = "zun exec [OPTIONS] CONTAINER COMMAND [ARGUMENT…]",
    after_help = "\
Examples:
  zun exec test ls -l /
  zun exec -e A=1 -w /tmp test env
  zun exec -i test sh                 with this terminal
  zun exec test uptime --format json  is the command's own flag; zun's stand before the container

Exit code: the command's own; 125 zun failed, 126 not executable, 127 not found."
)]
pub(in crate::cmd) struct Exec {
    #[command(flatten)]
    terminal: TerminalFlags,
    /// Environment, NAME=VALUE, or NAME to take it from here; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The working directory
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// The user (and group) to run as
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// With all capabilities
    #[arg(long)]
    privileged: bool,
    #[command(flatten)]
    leaving: LeavingFlags,
    /// The container, and the command with its arguments; what follows the container is not for zun
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_name = "CONTAINER")]
    words: Vec<String>,
}

impl Exec {
    pub(in crate::cmd) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let streams = Streams::of_process();
        let mut mode = self.terminal.decide(streams, false)?;
        if mode.tty && mode.interactive && !streams.input {
            out::note("stdin is not a terminal; going on without one");
            mode.tty = false;
        }
        let (container, command) =
            self.words.split_first().ok_or_else(|| Failure::new("no container"))?;
        let ask = self.request(command, mode)?;
        if mode.interactive || mode.tty {
            let session = ExecSession { context, container, leaving: &self.leaving };
            session.run(ask).await
        } else {
            let executed = context.api.execute(container, &Execute { run: true, ..ask }).await?;
            finished(context, &executed)
        }
    }

    fn request(&self, command: &[String], mode: Mode) -> Result<Execute, Failure> {
        Ok(Execute {
            command: command.to_vec(),
            run: false,
            interactive: mode.interactive,
            tty: Some(mode.tty),
            environment: variables(&self.env)?,
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            privileged: self.privileged,
            console_size: own_size().filter(|_| mode.tty).map(|size| [size.rows, size.columns]),
            csr: None,
        })
    }
}

/// Prints what a command printed, each stream where it belongs.
fn finished(context: &Context, executed: &Executed) -> Result<Exit, Failure> {
    let code = executed.exit_code.ok_or_else(|| Failure::new("the service told no exit code"))?;
    let (stdout, stderr) = match (&executed.stdout, &executed.stderr) {
        (None, None) => (executed.output.clone().unwrap_or_default().into_bytes(), Vec::new()),
        (stdout, stderr) => (decode(stdout.as_deref())?, decode(stderr.as_deref())?),
    };
    if context.printer.format() == Format::Table {
        out::error_bytes(&stderr);
        context.printer.bytes(&stdout)?;
    } else {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let value = json!({ "exit_code": code, "stdout": text(&stdout), "stderr": text(&stderr) });
        context.printer.show(&value, || Table::new(Vec::new()))?;
    }
    Ok(Exit::of_process(code))
}

fn decode(text: Option<&str>) -> Result<Vec<u8>, Failure> {
    STANDARD
        .decode(text.unwrap_or_default())
        .map_err(|_not_base64| Failure::new("the service's answer cannot be read"))
}
