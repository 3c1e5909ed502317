//! Finds the words that can come next on a command line, from the command tree.

use clap::{Arg, ArgAction, Command};
use zun_common::status::Status;

/// What a value is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cmd) enum Kind {
    /// A container.
    Container,
    /// An image of a container, or one on a host.
    Image,
    /// An image of `zun image list`.
    PulledImage,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// A host.
    Host,
}

/// Where the last word is on the command line.
struct Place {
    command: Command,
    /// How many values without an option come before it.
    positionals: usize,
    /// The option whose value it is.
    option: Option<Arg>,
}

/// What can come next on a command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::cmd) struct Candidates {
    /// The words that can take the place of the last one.
    pub(in crate::cmd) found: Vec<String>,
    /// Whether the name of a file can take its place too.
    pub(in crate::cmd) files: bool,
}

/// Returns the words that can take the place of the last one, which begin with it. `names` returns names of a kind.
pub(in crate::cmd) fn candidates(
    mut command: Command,
    words: &[String],
    names: impl Fn(Kind) -> Vec<String>,
) -> Candidates {
    command.build();
    let Some((last, before)) = words.split_last() else { return Candidates::default() };
    let place = place(command, before);
    let with_value = last.split_once('=').filter(|(option, _)| option.starts_with("--"));
    let with_value = with_value.and_then(|(option, value)| {
        let option = named(&place.command, option)?.clone();
        Some((option, value, last.strip_suffix(value)?))
    });
    let (mut found, files) = match (&place.option, with_value) {
        (Some(option), _) => (values(option, last, names), is_file(option)),
        (None, Some((option, value, prefix))) if !place.is_in_a_command() => {
            let found = values(&option, value, names);
            (found.into_iter().map(|one| format!("{prefix}{one}")).collect(), is_file(&option))
        }
        (None, _) if last.starts_with('-') && !place.is_in_a_command() => {
            (options(&place.command), false)
        }
        (None, _) => (place.words(names), place.takes_files(last)),
    };
    found.retain(|word| word.starts_with(last.as_str()));
    found.sort_unstable();
    found.dedup();
    Candidates { found, files }
}

fn place(mut command: Command, words: &[String]) -> Place {
    let mut positionals = 0;
    let mut option = None;
    for word in words {
        if option.take().is_some() {
            continue;
        }
        if word.starts_with('-') && word.len() > 1 {
            option = named(&command, word).filter(|option| takes_value(option)).cloned();
        } else if let Some(below) = command.find_subcommand(word).filter(|_| positionals == 0) {
            command = below.clone();
        } else {
            positionals += 1;
        }
    }
    Place { command, positionals, option }
}

/// The option that a word is, if its value is the next word.
fn named<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    command.get_arguments().find(|argument| {
        let longs = argument.get_long_and_visible_aliases().unwrap_or_default();
        let is_long = word.strip_prefix("--").is_some_and(|name| longs.contains(&name));
        let short = argument.get_short().map(|short| format!("-{short}"));
        is_long || short.as_deref() == Some(word)
    })
}

fn takes_value(argument: &Arg) -> bool {
    matches!(argument.get_action(), ArgAction::Set | ArgAction::Append)
}

fn options(command: &Command) -> Vec<String> {
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let longs = shown.filter_map(Arg::get_long);
    longs.map(|long| format!("--{long}")).collect()
}

/// Whether the value of an option is the name of a file.
fn is_file(option: &Arg) -> bool {
    let names = option.get_value_names().unwrap_or_default();
    names.iter().any(|name| matches!(name.as_str(), "FILE" | "DIRECTORY" | "PATH"))
}

/// The values of an option. `typed` is the beginning of the value.
fn values(option: &Arg, typed: &str, names: impl Fn(Kind) -> Vec<String>) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match option.get_id().as_str() {
        // Not those of events, which have other keys, and a short form.
        "filter" if option.get_short().is_none() => filters(typed, names),
        "signal" | "stop_signal" => SIGNALS.map(str::to_owned).to_vec(),
        "format" | "f" => words(&["table", "wide", "json", "yaml", "csv", "name", "value"]),
        "status" => Status::ALL.iter().map(|status| status.as_str().to_lowercase()).collect(),
        "pull" => words(&["always", "missing", "never"]),
        "restart" => words(&["no", "on-failure", "always", "unless-stopped"]),
        "sort" => words(&["created", "name", "image", "status", "memory", "cpu", "updated"]),
        "host" => names(Kind::Host),
        "image" => names(Kind::Image),
        "network" => names(Kind::Network),
        "volume" => with_colon(names(Kind::Volume)),
        _ => Vec::new(),
    }
}

/// The signals that people send to containers.
const SIGNALS: [&str; 9] = [
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGTERM", "SIGSTOP", "SIGCONT",
];

/// The filters of lists of containers: the keys, and then the values of the key.
fn filters(typed: &str, names: impl Fn(Kind) -> Vec<String>) -> Vec<String> {
    const KEYS: [&str; 11] = [
        "name=", "name~=", "id=", "label=", "status=", "exited=", "health=", "image=", "host=",
        "since=", "before=",
    ];
    let Some((key, _)) = typed.split_once('=') else { return KEYS.map(str::to_owned).to_vec() };
    let words = match key {
        "status" => Status::ALL.iter().map(|status| status.as_str().to_lowercase()).collect(),
        "health" => ["starting", "healthy", "unhealthy", "none"].map(str::to_owned).to_vec(),
        "image" | "ancestor" => names(Kind::Image),
        "host" => names(Kind::Host),
        "name" | "since" | "before" => names(Kind::Container),
        _ => Vec::new(),
    };
    words.into_iter().map(|word| format!("{key}={word}")).collect()
}

/// Names that something follows, such as a path.
fn with_colon(names: Vec<String>) -> Vec<String> {
    names.into_iter().map(|name| format!("{name}:")).collect()
}

impl Place {
    /// Whether the last word belongs to a command in a container.
    fn is_in_a_command(&self) -> bool {
        self.positionals > 0
            && self.command.get_positionals().any(|value| {
                matches!(value.get_id().as_str(), "image_and_command" | "container_and_command")
            })
    }

    /// Whether a file name can be completed here. `typed` is its beginning.
    fn takes_files(&self, typed: &str) -> bool {
        if self.is_in_a_command() {
            return true;
        }
        let mut values = self.command.get_positionals();
        values.any(|value| matches!(value.get_id().as_str(), "source" | "destination"))
            && (!typed.contains(':') || typed.starts_with(['.', '/']))
    }

    /// The verbs below the command, or the values that it takes here.
    fn words(&self, names: impl Fn(Kind) -> Vec<String>) -> Vec<String> {
        if self.command.has_subcommands() {
            let verbs = self.command.get_subcommands();
            return verbs.map(|verb| verb.get_name().to_owned()).collect();
        }
        let all: Vec<&Arg> = self.command.get_positionals().collect();
        let Some(value) = all.get(self.positionals).or(all.last()) else { return Vec::new() };
        match (value.get_id().as_str(), self.positionals) {
            ("containers", _) | ("container" | "container_and_command", 0) => {
                names(Kind::Container)
            }
            ("source" | "destination", _) => with_colon(names(Kind::Container)),
            ("image_and_command", 0) => names(Kind::Image),
            ("image", 0) if self.command.get_name() == "pull" => names(Kind::Image),
            ("images", _) | ("image", 0) => names(Kind::PulledImage),
            ("volumes", _) | ("volume", 0) => names(Kind::Volume),
            ("networks", _) | ("network", 0) => names(Kind::Network),
            ("host", 0) => names(Kind::Host),
            ("shell", 0) => ["bash", "zsh", "fish"].map(str::to_owned).to_vec(),
            (_, _) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cmd::{Cli, help};

    fn completed(line: &str) -> Candidates {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let names = |kind: Kind| {
            let names: &[&str] = match kind {
                Kind::Container => &["web", "job"],
                Kind::Image => &["cirros"],
                Kind::PulledImage => &["cirros:latest"],
                Kind::Volume => &["data"],
                Kind::Network => &["back"],
                Kind::Host => &["compute1"],
            };
            names.iter().map(|name| (*name).to_owned()).collect()
        };
        candidates(help::with_groups(Cli::command()), &words, names)
    }

    #[test]
    fn verbs_options_and_names_complete_a_command_line() {
        for (line, words) in [
            ("sto", &["stop"][..]),
            ("host s", &["show"]),
            ("stop ", &["job", "web"]),
            ("stop --time 1 web j", &["job"]),
            ("exec -i w", &["web"]),
            ("exec web ", &[]),
            ("exec web -", &[]),
            ("run ", &["cirros"]),
            ("run -i --name x ci", &["cirros"]),
            ("run cirros --na", &[]),
            ("run --na", &["--name"]),
            ("run --host ", &["compute1"]),
            ("list --status ru", &["running"]),
            ("ps --format j", &["json"]),
            ("ps --format=j", &["--format=json"]),
            ("ps --filter st", &["status="]),
            ("ps --filter status=ru", &["status=running"]),
            ("ps --filter since=w", &["since=web"]),
            ("ps --filter=health=un", &["--filter=health=unhealthy"]),
            ("kill -s SIGT", &["SIGTERM"]),
            ("exec web --format=", &[]),
            ("--format y", &["yaml"]),
            ("host show ", &["compute1"]),
            ("cp w", &["web:"]),
            ("completion b", &["bash"]),
            ("volume show ", &["data"]),
            ("volume rm data d", &["data"]),
            ("volume create ", &[]),
            ("network delete ", &["back"]),
            ("run --network ", &["back"]),
            ("run -v ", &["data:"]),
            ("image show ", &["cirros:latest"]),
            ("image delete x ci", &["cirros:latest"]),
            ("image pull ", &["cirros"]),
        ] {
            assert_eq!(completed(line).found, words, "{line}");
        }
        assert!(completed("").found.contains(&"run".to_owned()));
    }

    #[test]
    fn file_names_complete_only_what_can_be_a_file() {
        for (line, files) in [
            ("cp ", true),
            ("cp ./a", true),
            ("cp web:/e", false),
            ("exec web ./", true),
            ("run --env-file ", true),
            ("run --env-file=", true),
            ("volume delete ", false),
            ("stop w", false),
            ("list --format j", false),
        ] {
            assert_eq!(completed(line).files, files, "{line}");
        }
    }
}
