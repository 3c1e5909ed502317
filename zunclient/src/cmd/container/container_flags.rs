//! Flags that say what a container is; the same for `run` and `create`.

use std::collections::BTreeMap;

use clap::Args;
use zun_common::api::v1::container::{CreateContainer, RestartPolicy};
use zun_common::id::HostName;
use zun_common::units::TerminalSize;

use crate::cmd::Failure;
use crate::exit::Exit;
use crate::tty::Stdio;

/// How the container is talked to.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct TerminalFlags {
    /// Keep stdin open; with a terminal where stdin and stdout are one
    #[arg(short, long)]
    pub(super) interactive: bool,
    /// With a terminal; `run -i` wants stdin to be one
    #[arg(short, long)]
    tty: bool,
    /// Without a terminal
    #[arg(short = 'T', long, conflicts_with = "tty")]
    no_tty: bool,
}

/// What was decided about the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TerminalMode {
    /// It keeps its stdin open.
    pub(super) interactive: bool,
    /// It has a terminal.
    pub(super) tty: bool,
}

impl TerminalFlags {
    /// A terminal is wanted whatever the streams are.
    pub(super) const fn is_forced(&self) -> bool {
        self.tty
    }

    /// Decides; `attached` is whether this very command will be its terminal.
    pub(super) fn decide(&self, stdio: Stdio, attached: bool) -> Result<TerminalMode, Failure> {
        if self.tty && self.interactive && attached && !stdio.stdin_is_terminal {
            let message = "-t was given and stdin is not a terminal; leave out -t, or give -T";
            return Err(Failure::with_exit(message, Exit::ZUN_FAILED));
        }
        let by_itself = self.interactive && stdio.both_are_terminals() && !self.no_tty;
        Ok(TerminalMode { interactive: self.interactive, tty: self.tty || by_itself })
    }
}

/// What the container is.
#[derive(Debug, Args)]
pub(super) struct ContainerFlags {
    #[command(flatten)]
    pub(super) terminal: TerminalFlags,
    #[command(flatten)]
    process: ProcessFlags,
    #[command(flatten)]
    placement: PlacementFlags,
    /// Remove it when its process ends
    #[arg(long)]
    pub(super) rm: bool,
    /// Its name; a random one where none is given
    #[arg(long, short = 'n')]
    pub(super) name: Option<String>,
    /// The image, and the command with its arguments; what follows the image is not for zun
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE")]
    image_and_command: Vec<String>,
}

#[derive(Debug, Args)]
struct ProcessFlags {
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
    /// Replaces the image's entry point; words as in a shell
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// The signal that a stop begins with
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// The root file system cannot be written
    #[arg(long)]
    read_only: bool,
}

#[derive(Debug, Args)]
struct PlacementFlags {
    /// The host name inside
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// A label, NAME=VALUE; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Processors, such as 0.5
    #[arg(long, value_name = "NUMBER")]
    cpu: Option<f64>,
    /// Memory in MiB, or with k, m or g behind it
    #[arg(short, long, value_name = "SIZE", value_parser = mebibytes)]
    memory: Option<u64>,
    /// When it is run again: no, on-failure[:N], always or unless-stopped
    #[arg(long, value_name = "POLICY", value_parser = restart_policy)]
    restart: Option<RestartPolicy>,
    /// When the image is pulled: always, missing or never
    #[arg(long, value_name = "WHEN", value_parser = pull_policy)]
    pull: Option<String>,
    /// The host to run on; for administrators
    #[arg(long, value_name = "NAME")]
    host: Option<HostName>,
}

impl ContainerFlags {
    /// The request, as this mode wants it.
    pub(super) fn request(
        &self,
        mode: TerminalMode,
        size: Option<TerminalSize>,
    ) -> Result<CreateContainer, Failure> {
        let Self { terminal: _, process, placement, rm, name, image_and_command } = self;
        let (image, command) =
            image_and_command.split_first().ok_or_else(|| Failure::new("no image"))?;
        Ok(CreateContainer {
            image: image.clone(),
            name: name.clone(),
            command: (!command.is_empty()).then(|| command.to_vec()),
            entrypoint: process.entrypoint.as_deref().map(split_words).transpose()?,
            cpu: placement.cpu,
            memory: placement.memory,
            environment: environment(&process.env_file, &process.env)?,
            labels: labels(&placement.label)?,
            workdir: process.workdir.clone(),
            hostname: placement.hostname.clone(),
            interactive: mode.interactive,
            tty: mode.tty,
            stdin_once: false,
            console_size: size.map(|size| [size.rows, size.columns]),
            user: process.user.clone(),
            read_only: process.read_only,
            stop_signal: process.stop_signal.clone(),
            auto_remove: *rm,
            restart_policy: placement.restart.clone(),
            image_pull_policy: placement.pull.clone(),
            host: placement.host.clone(),
        })
    }
}

fn split_words(text: &str) -> Result<Vec<String>, Failure> {
    shlex::split(text).filter(|message| !message.is_empty()).ok_or_else(|| {
        Failure::new(format!("--entrypoint `{text}` has no words, or an open quote"))
    })
}

fn environment(
    files: &[std::path::PathBuf],
    given: &[String],
) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|cause| Failure::new(format!("cannot read {}: {cause}", file.display())))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines = (1..).zip(text.lines().map(str::trim_start));
        let assignments = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        for (number, line) in assignments {
            add_variable(&mut all, line).map_err(|rule| {
                Failure::new(format!("{}, line {number}: {rule}", file.display()))
            })?;
        }
    }
    for variable in given {
        add_variable(&mut all, variable).map_err(|rule| Failure::new(format!("--env: {rule}")))?;
    }
    Ok(all)
}

fn add_variable(all: &mut BTreeMap<String, String>, given: &str) -> Result<(), String> {
    let (name, value) = match given.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (given, None),
    };
    if name.is_empty() {
        return Err("there is no name: it must be NAME=VALUE".to_owned());
    }
    if name.contains(char::is_whitespace) {
        return Err(format!("the name `{name}` has a blank in it: it must be NAME=VALUE"));
    }
    // What is not set here is not set there.
    let value = match value {
        Some(value) => Some(value.to_owned()),
        None => std::env::var_os(name)
            .map(std::ffi::OsString::into_string)
            .transpose()
            .map_err(|_bytes| format!("the value of `{name}` in this environment is no UTF-8"))?,
    };
    if let Some(value) = value {
        all.insert(name.to_owned(), value);
    }
    Ok(())
}

/// All variables as `NAME=VALUE`; those that are only named are taken from here.
pub(super) fn variables(
    files: &[std::path::PathBuf],
    given: &[String],
) -> Result<Vec<String>, Failure> {
    Ok(environment(files, given)?
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect())
}

fn labels(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let label = |given: &String| {
        let (name, value) = given.split_once('=').unwrap_or((given, ""));
        if name.is_empty() {
            return Err(Failure::new(format!(
                "--label `{given}` has no name: it must be NAME=VALUE"
            )));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    given.iter().map(label).collect()
}

pub(super) fn mebibytes(text: &str) -> Result<u64, String> {
    let rule = || "it must be a number of MiB, or one with k, m or g behind it".to_owned();
    let digits = text.trim_end_matches(|last: char| last.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_not_a_number| rule())?;
    let unit = text.strip_prefix(digits).unwrap_or_default().to_ascii_lowercase();
    match unit.as_str() {
        "" | "m" | "mb" | "mib" => Ok(number),
        "k" | "kb" | "kib" => Ok(number.div_ceil(1024)),
        "g" | "gb" | "gib" => number.checked_mul(1024).ok_or_else(rule),
        _ => Err(rule()),
    }
}

fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    let known = match name {
        "on-failure" => count.parse::<u32>().is_ok(),
        "no" | "always" | "unless-stopped" => !text.contains(':'),
        _ => false,
    };
    if !known {
        return Err("it must be no, on-failure[:N], always or unless-stopped".to_owned());
    }
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count: count.to_owned() })
}

fn pull_policy(text: &str) -> Result<String, String> {
    match text {
        "always" | "never" | "ifnotpresent" => Ok(text.to_owned()),
        "missing" => Ok("ifnotpresent".to_owned()),
        _ => Err("it must be always, missing or never".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags by their letters.
    fn flags(letters: &str) -> TerminalFlags {
        TerminalFlags {
            interactive: letters.contains('i'),
            tty: letters.contains('t'),
            no_tty: letters.contains('T'),
        }
    }

    const PERSON: Stdio = Stdio { stdin_is_terminal: true, stdout_is_terminal: true };
    const PIPE: Stdio = Stdio { stdin_is_terminal: false, stdout_is_terminal: true };

    #[test]
    fn interactive_makes_a_terminal_by_itself_only_for_a_person() {
        let tty = |letters, stdio| flags(letters).decide(stdio, true).expect("fits").tty;
        assert!(tty("i", PERSON));
        assert!(!tty("i", PIPE));
        assert!(!tty("iT", PERSON));
        assert!(!tty("", PERSON));
        assert!(tty("t", PIPE));
    }

    #[test]
    fn a_terminal_on_a_pipe_is_refused() {
        let refusal = flags("it").decide(PIPE, true).expect_err("no terminal");
        assert_eq!(refusal.exit, Some(Exit::ZUN_FAILED));
        assert!(flags("it").decide(PIPE, false).is_ok());
    }

    #[test]
    fn a_line_of_an_environment_file_is_checked_and_named() {
        let read = |text: &[u8]| {
            let file = tempfile::NamedTempFile::new().expect("a file");
            std::fs::write(file.path(), text).expect("written");
            let message = |failure: Failure| failure.message.unwrap_or_default();
            let path = format!("{}, ", file.path().display());
            variables(&[file.path().to_owned()], &[]).map_err(|it| message(it).replace(&path, ""))
        };
        let good = b"\xef\xbb\xbfA=b c\r\n\n# no\n  B=\nZUN_TEST_THAT_IS_NOT_SET\nC==d\n";
        assert_eq!(read(good), Ok(["A=b c", "B=", "C==d"].map(str::to_owned).to_vec()));
        let rule = "it must be NAME=VALUE";
        let blank = |name| Err(format!("line 2: the name `{name}` has a blank in it: {rule}"));
        assert_eq!(read(b"A=b\nexport A=b\n"), blank("export A"));
        assert_eq!(read(b"A=b\nA =b\n"), blank("A "));
        assert_eq!(read(b"=b\n"), Err(format!("line 1: there is no name: {rule}")));
    }

    #[test]
    fn memory_has_units() {
        for (text, expected) in
            [("512", 512), ("512m", 512), ("2g", 2048), ("8192K", 8), ("6000k", 6)]
        {
            assert_eq!(mebibytes(text), Ok(expected), "{text}");
        }
        for bad in ["", "m", "1.5g", "-1", "1t"] {
            assert!(mebibytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn restart_policies_are_dockers() {
        let policy = restart_policy("on-failure:3").expect("known");
        assert_eq!(
            (policy.name.as_str(), policy.maximum_retry_count.as_str()),
            ("on-failure", "3")
        );
        assert!(restart_policy("always").is_ok());
        for bad in ["", "always:3", "on-failure:x", "sometimes"] {
            assert!(restart_policy(bad).is_err(), "{bad}");
        }
    }
}
