//! `zun-standalone up`: starts the service in the background and waits until it is ready.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use zun_standalone::state::{Lock, State};

use crate::args::{StartArgs, StateArgs};
use crate::{Failure, say};

/// How many lines of the log to print if the service does not start.
const LAST_LINES: usize = 8;

/// Starts the service in a new session, so that closing the terminal does not stop it.
pub(crate) fn up(start: &StartArgs) -> Result<(), Failure> {
    let state = State::new(&start.place.state)?;
    if let Some(holder) = Lock::holder(&state)? {
        let pid = holder.pid.map(|pid| format!(" as process {pid}")).unwrap_or_default();
        say(&format!("zun-standalone is already running in {}{pid}", state.root().display()));
        return Ok(());
    }
    state.create()?;
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(state.log())
        .map_err(Failure::system("open the log"))?;
    let mut child = command(start)?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(Failure::system("start zun-standalone in the background"))?;
    let words = child.stdout.take().map(BufReader::new);
    let first = words.and_then(|words| words.lines().next()).transpose();
    if first.map_err(Failure::system("read the output of zun-standalone"))?.as_deref()
        == Some("ready")
    {
        return Ok(());
    }
    child.wait().map_err(Failure::system("wait for zun-standalone"))?;
    let text = std::fs::read_to_string(state.log()).unwrap_or_default();
    Err(Failure::NotReady { log: state.log().display().to_string(), log_tail: last_lines(&text) })
}

fn command(start: &StartArgs) -> Result<Command, Failure> {
    let StartArgs { place, listen, keystone, keystone_password_file, authz, console, log } = start;
    let StateArgs { state, env_file } = place;
    let program = std::env::current_exe().map_err(Failure::system("find this program"))?;
    let mut command = Command::new("setsid");
    command.arg(program).arg("run").arg("--state").arg(state);
    command.args(["--listen", &listen.to_string(), "--log", log]);
    if let Some(file) = env_file {
        command.arg("--env-file").arg(file);
    }
    if let Some(url) = keystone {
        command.arg("--keystone").arg(url.as_str());
    }
    if let Some(file) = keystone_password_file {
        command.arg("--keystone-password-file").arg(file);
    }
    if let Some(program) = authz {
        command.arg("--authz").arg(program);
    }
    if let Some(program) = console {
        command.arg("--console").arg(program);
    }
    Ok(command)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LAST_LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}
