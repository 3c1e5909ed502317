//! The options of `run` and `create` that describe the container.

use std::collections::BTreeMap;

use clap::Args;
use zun_common::api::v1::container::{CreateContainer, RestartPolicy};
use zun_common::id::HostName;
use zun_common::recording::RecordPolicy;
use zun_common::units::TerminalSize;

use super::engine_flags::EngineFlags;
use super::environment::environment;
use super::limits::{cpus, memory};
use crate::cmd::Failure;
use crate::exit::Exit;
use crate::tty::Stdio;

/// The heading of the options that most command lines need. `display_order` sorts them: first the terminal (0 to 2),
/// then -d, --rm, --name, -e and -q (3 to 7).
pub(super) const COMMON_OPTIONS: &str = "Common options";

/// Whether the process gets stdin and a terminal.
#[derive(Debug, Args)]
#[command(next_help_heading = COMMON_OPTIONS)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub(super) struct TerminalFlags {
    /// Keep stdin open; use a terminal if stdin and stdout are terminals
    #[arg(short, long, display_order = 0)]
    pub(super) interactive: bool,
    /// Allocate a terminal
    #[arg(short, long, display_order = 1)]
    tty: bool,
    /// Do not allocate a terminal
    #[arg(short = 'T', long, conflicts_with = "tty", display_order = 2)]
    no_tty: bool,
}

/// Whether the process gets stdin and a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TerminalMode {
    /// Stdin stays open.
    pub(super) interactive: bool,
    /// It has a terminal.
    pub(super) tty: bool,
}

impl TerminalFlags {
    /// Returns `true` if `-t` was given.
    pub(super) const fn is_forced(&self) -> bool {
        self.tty
    }

    /// Decides from the flags and from stdin and stdout. `attached` says whether this command connects to the
    /// container.
    pub(super) fn decide(&self, stdio: Stdio, attached: bool) -> Result<TerminalMode, Failure> {
        if self.tty && self.interactive && attached && !stdio.stdin_is_terminal {
            let message = "cannot use -t: stdin is not a terminal; remove -t, or use -T";
            return Err(Failure::with_exit(message, Exit::FAILED));
        }
        let by_itself = self.interactive && stdio.both_are_terminals() && !self.no_tty;
        Ok(TerminalMode { interactive: self.interactive, tty: self.tty || by_itself })
    }
}

/// The options that describe the container.
#[derive(Debug, Args)]
pub(super) struct ContainerFlags {
    /// Image to run, then the command and its arguments (zun's options go before the image)
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE")]
    image_and_command: Vec<String>,
    #[command(flatten)]
    pub(super) terminal: TerminalFlags,
    #[command(flatten)]
    process: ProcessFlags,
    #[command(flatten)]
    resources: ResourceFlags,
    #[command(flatten)]
    placement: PlacementFlags,
    #[command(flatten)]
    engine: EngineFlags,
    /// Remove the container after its process exits
    #[arg(long, help_heading = COMMON_OPTIONS, display_order = 4)]
    pub(super) rm: bool,
    /// Container name (default random)
    #[arg(
        long,
        short = 'n',
        value_name = "NAME",
        help_heading = COMMON_OPTIONS,
        display_order = 5
    )]
    pub(super) name: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Process")]
struct ProcessFlags {
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
    #[arg(long, value_name = "FILE")]
    env_file: Vec<std::path::PathBuf>,
    /// Working directory, an absolute path (default from the image)
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User to run as, by name or number (default from the image)
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Program and arguments that replace the image's entrypoint
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// Signal that stops the container (default from the image, or SIGTERM)
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Mount the root file system read-only
    #[arg(long)]
    read_only: bool,
    /// Record the container's sessions on its host: off, best-effort or required; --record alone is required (default
    /// the operator's setting)
    #[arg(
        long,
        value_name = "POLICY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "required"
    )]
    record: Option<RecordPolicy>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Resources")]
struct ResourceFlags {
    /// Number of CPUs, 0.1 to 16, such as 0.5 (default 1, unless the operator changed it)
    #[arg(long, visible_alias = "cpus", value_name = "NUMBER", value_parser = cpus)]
    cpu: Option<f64>,
    /// Memory limit, 6m to 8g, in MiB or with unit k, m, g or t (default 512m, unless the operator changed it)
    #[arg(short, long, value_name = "SIZE", value_parser = memory, allow_hyphen_values = true)]
    memory: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Placement")]
struct PlacementFlags {
    /// Host to run on (administrators only; default the scheduler's choice)
    #[arg(long, value_name = "HOST")]
    host: Option<HostName>,
    /// Availability zone to run in (default any)
    #[arg(long, value_name = "ZONE")]
    availability_zone: Option<String>,
    #[arg(
        long,
        value_name = "HINT",
        help = "Constraint on the host: label:NAME=VALUE (has this label), affinity:NAME=VALUE (has a container with this label) or anti_affinity:NAME=VALUE (has no container with this label) (repeatable)"
    )]
    hint: Vec<String>,
    /// When to pull the image: always, missing or never (default missing)
    #[arg(long, value_name = "WHEN", value_parser = pull_policy)]
    pull: Option<String>,
    /// Registry login to pull the image with (default the project's login for the image's registry, if it has exactly
    /// one)
    #[arg(long, value_name = "REGISTRY")]
    registry: Option<String>,
    /// Restart policy: no, on-failure[:N], always or unless-stopped (default no)
    #[arg(long, value_name = "POLICY", value_parser = restart_policy)]
    restart: Option<RestartPolicy>,
    /// Label (repeatable)
    #[arg(short, long, value_name = "NAME=VALUE")]
    label: Vec<String>,
}

impl ContainerFlags {
    /// Returns the first word of the command if it is an option of `zun run`: its user probably meant that.
    pub(super) fn misplaced_option(&self) -> Option<(&str, &str)> {
        let [image, word, ..] = self.image_and_command.as_slice() else { return None };
        let option = word.split('=').next().unwrap_or_default();
        let command = Self::augment_args(clap::Command::new("run"));
        let is_option = command.get_arguments().any(|argument| {
            let long = argument.get_long_and_visible_aliases().unwrap_or_default();
            let short = argument.get_short().map(|short| format!("-{short}"));
            long.iter().any(|long| option.strip_prefix("--") == Some(*long))
                || short.as_deref() == Some(option)
        });
        is_option.then_some((image, word))
    }

    /// Returns the request to create the container.
    pub(super) fn request(
        &self,
        mode: TerminalMode,
        size: Option<TerminalSize>,
    ) -> Result<CreateContainer, Failure> {
        let Self {
            terminal: _,
            process,
            resources,
            placement,
            engine,
            rm,
            name,
            image_and_command,
        } = self;
        let (image, command) =
            image_and_command.split_first().ok_or_else(|| Failure::new("no image"))?;
        let restarts = placement.restart.as_ref().is_some_and(|policy| policy.name != "no");
        if *rm && restarts {
            let message = "cannot use --rm with --restart: a removed container cannot restart; remove one of them";
            return Err(Failure::with_exit(message, Exit::ZUN_FAILED));
        }
        Ok(CreateContainer {
            image: image.clone(),
            name: given(name.as_ref()),
            command: (!command.is_empty()).then(|| command.to_vec()),
            entrypoint: process.entrypoint.as_deref().map(split_words).transpose()?,
            cpu: resources.cpu,
            memory: resources.memory,
            environment: environment(&process.env_file, &process.env)?,
            labels: labels(&placement.label)?,
            workdir: given(process.workdir.as_ref()),
            hostname: engine.hostname(),
            interactive: mode.interactive,
            tty: mode.tty,
            stdin_once: false,
            console_size: size.map(|size| [size.rows, size.columns]),
            user: given(process.user.as_ref()),
            read_only: process.read_only,
            stop_signal: given(process.stop_signal.as_ref()),
            auto_remove: *rm,
            restart_policy: placement.restart.clone(),
            image_pull_policy: placement.pull.clone(),
            host: placement.host.clone(),
            availability_zone: given(placement.availability_zone.as_ref()),
            hints: hints(&placement.hint)?,
            privileged: engine.privileged(),
            runtime: engine.runtime(),
            disk: engine.disk(),
            healthcheck: engine.healthcheck(),
            auto_heal: engine.auto_heal(),
            engine_options: engine.options()?,
            exposed_ports: engine.exposed_ports()?,
            registry: given(placement.registry.as_ref()),
            mounts: engine.mounts()?,
            nets: engine.nets()?,
            record: process.record,
        })
    }
}

/// Returns the text unless it is empty. Docker treats an empty value as not given.
pub(super) fn given(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn hints(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |hint: &String| {
        let pair = hint.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        pair.ok_or_else(|| {
            Failure::new(format!("cannot use --hint `{hint}`: use label:NAME=VALUE, for example"))
        })
    };
    given.iter().map(pair).collect()
}

/// Splits an entry point into words. An empty one resets the entry point of the image.
fn split_words(text: &str) -> Result<Vec<String>, Failure> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    shlex::split(text).filter(|words| !words.is_empty()).ok_or_else(|| {
        Failure::new(format!(
            "cannot use --entrypoint `{text}`: it has no words or has an unclosed quote"
        ))
    })
}

fn labels(given: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let label = |given: &String| {
        let (name, value) = given.split_once('=').unwrap_or((given, ""));
        if name.is_empty() {
            return Err(Failure::new(format!(
                "cannot use --label `{given}`: the name is missing; use NAME=VALUE"
            )));
        }
        Ok((name.to_owned(), value.to_owned()))
    };
    given.iter().map(label).collect()
}

fn restart_policy(text: &str) -> Result<RestartPolicy, String> {
    let text = if text.is_empty() { "no" } else { text };
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    let is_count = count.bytes().all(|byte| byte.is_ascii_digit()) && count.parse::<u32>().is_ok();
    let known = match name {
        "on-failure" => is_count,
        "no" | "always" | "unless-stopped" => !text.contains(':'),
        _ => false,
    };
    if !known {
        return Err("use no, on-failure[:N], always or unless-stopped".to_owned());
    }
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count: count.to_owned() })
}

fn pull_policy(text: &str) -> Result<String, String> {
    match text {
        "always" | "never" | "ifnotpresent" => Ok(text.to_owned()),
        "missing" | "" => Ok("ifnotpresent".to_owned()),
        _ => Err("use always, missing or never".to_owned()),
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
        assert_eq!(refusal.exit, Some(Exit::FAILED));
        assert!(flags("it").decide(PIPE, false).is_ok());
    }

    #[test]
    fn an_empty_entry_point_resets_that_of_the_image() {
        assert_eq!(split_words("").expect("none"), Vec::<String>::new());
        assert_eq!(split_words("sh -c").expect("words"), ["sh", "-c"]);
        for bad in [" ", "'", "a \"b"] {
            assert!(split_words(bad).is_err(), "{bad}");
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
        assert_eq!(restart_policy("").expect("docker's default").name, "no");
        let no_counts = ["on-failure:x", "on-failure:-1", "on-failure:99999999999", "on-failure:"];
        for bad in [&["always:3", "sometimes", ":3"][..], &no_counts].concat() {
            assert!(restart_policy(bad).is_err(), "{bad}");
        }
    }
}
