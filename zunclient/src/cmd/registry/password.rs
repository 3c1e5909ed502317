//! Reads a password: from stdin, or from the terminal without echo. Never from the command line, which other users of
//! the machine can see.

use std::io::{IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;

use clap::Args;
use termion::input::TermRead;
use zun_common::secret::Secret;

use crate::cmd::Failure;
use crate::exit::Exit;
use crate::out;
use crate::tty::raw::RawMode;

/// The longest password that the service accepts, in bytes.
const LONGEST: u64 = 8192;

/// Where the password comes from.
#[derive(Debug, Args)]
pub(in crate::cmd) struct PasswordFlags {
    /// Read the password from stdin
    #[arg(long)]
    pub(super) password_stdin: bool,
    /// Ask for the password, without echo
    #[arg(long, conflicts_with = "password_stdin")]
    pub(super) password_prompt: bool,
}

impl PasswordFlags {
    /// Reads the password, if one of the flags was given.
    pub(super) fn read(&self) -> Result<Option<Secret<String>>, Failure> {
        if self.password_stdin {
            return from_stdin().map(Some);
        }
        if self.password_prompt {
            return from_terminal().map(Some);
        }
        Ok(None)
    }
}

/// Reads all of stdin, without the end of the last line.
pub(super) fn from_stdin() -> Result<Secret<String>, Failure> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(LONGEST + 2)
        .read_to_string(&mut text)
        .map_err(|cause| Failure::new(format!("cannot read the password from stdin: {cause}")))?;
    checked(text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line)))
}

/// Asks for it on the terminal. The echo is off before the prompt appears, and Ctrl-C ends zun.
pub(super) fn from_terminal() -> Result<Secret<String>, Failure> {
    require_terminal()?;
    let unusable = |cause| Failure::new(format!("cannot read the password: {cause}"));
    let terminal = std::io::stdin().as_fd().try_clone_to_owned().map_err(unusable)?;
    let raw = RawMode::enter(terminal).map_err(unusable)?;
    out::error_bytes(b"Password: ");
    let typed = TermRead::read_line(&mut std::io::stdin().lock());
    drop(raw);
    out::error_bytes(b"\n");
    match typed.map_err(unusable)? {
        Some(password) => checked(&password),
        None => Err(Failure::silent(Exit::FAILED)),
    }
}

/// Asks for the user on the terminal.
pub(super) fn ask_username() -> Result<String, Failure> {
    require_terminal()?;
    out::error_bytes(b"Username: ");
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    read.map_err(|cause| Failure::new(format!("cannot read the username: {cause}")))?;
    match line.trim() {
        "" => Err(Failure::new("the username must not be empty")),
        name => Ok(name.to_owned()),
    }
}

fn require_terminal() -> Result<(), Failure> {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    let message =
        "stdin is not a terminal: use --username, and pass the password with --password-stdin";
    Err(Failure::new(message))
}

fn checked(password: &str) -> Result<Secret<String>, Failure> {
    if password.is_empty() {
        return Err(Failure::new("the password must not be empty"));
    }
    if u64::try_from(password.len()).is_ok_and(|length| length > LONGEST) {
        return Err(Failure::new(format!("the password must not be longer than {LONGEST} bytes")));
    }
    Ok(Secret::new(password.to_owned()))
}
