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
    /// An image on a host that was pulled through the API.
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

/// Returns the words that can take the place of the last one, which begin with it. `names` returns names of a kind.
pub(in crate::cmd) fn candidates(
    mut command: Command,
    words: &[String],
    names: impl Fn(Kind) -> Vec<String>,
) -> Vec<String> {
    command.build();
    let Some((last, before)) = words.split_last() else { return Vec::new() };
    let place = place(command, before);
    let mut found = match &place.option {
        Some(option) => values(option, names),
        None if last.starts_with('-') && !place.is_in_a_command() => options(&place.command),
        None => place.words(names),
    };
    found.retain(|word| word.starts_with(last.as_str()));
    found.sort_unstable();
    found.dedup();
    found
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

fn values(option: &Arg, names: impl Fn(Kind) -> Vec<String>) -> Vec<String> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    match option.get_id().as_str() {
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

    fn completed(line: &str) -> Vec<String> {
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
            assert_eq!(completed(line), words, "{line}");
        }
        assert!(completed("").contains(&"run".to_owned()));
    }
}
