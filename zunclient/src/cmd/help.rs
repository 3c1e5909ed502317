//! The help of `zun` itself. clap has no groups of subcommands, so the list of verbs is rendered here, from the
//! command tree.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

use super::GLOBAL_OPTIONS;

/// The verbs under each heading, in the order in which they are shown.
const GROUPS: [(&str, &[&str]); 8] = [
    ("Run and connect", &["run", "create", "start", "attach", "exec", "wait"]),
    ("Sessions", &["console", "sessions", "share", "grants", "recording"]),
    ("Inspect", &["list", "show", "why", "port", "action", "events", "logs", "top", "stats"]),
    (
        "Change",
        &[
            "stop", "restart", "rebuild", "kill", "pause", "unpause", "rename", "update", "delete",
            "prune",
        ],
    ),
    ("Files", &["cp", "export", "diff", "commit"]),
    ("Images", &["image", "login", "logout", "registry"]),
    ("Volumes and networks", &["volume", "network"]),
    (
        "Service",
        &["quota", "quota-class", "host", "service", "availability-zone", "version", "completion"],
    ),
];

/// Where `--help` stands in a list of options.
const LAST: usize = 1000;

/// Longer names do not widen the column of names.
const WIDEST: usize = 11;

/// Returns the same command, whose own help lists the verbs in groups.
pub(super) fn with_groups(command: Command) -> Command {
    let verbs = verbs(&command);
    let command = command
        .override_usage("zun [OPTIONS] COMMAND")
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{verbs}{{all-args}}{{after-help}}"
        ))
        .mut_subcommands(|verb| verb.hide(true));
    with_help(command)
}

/// Adds the flag `--help` to a command and those below it. It is short for `-h`, unless that is an option of the
/// command, as Docker's `run -h HOSTNAME`.
fn with_help(command: Command) -> Command {
    let help = Arg::new("help").long("help").action(ArgAction::Help).help("Print help");
    let help = help.help_heading(GLOBAL_OPTIONS).display_order(LAST);
    let is_taken = command.get_arguments().any(|argument| argument.get_short() == Some('h'));
    let command = command.arg(if is_taken { help } else { help.short('h') });
    // As in Docker's command, the last one of a repeated option counts: aliases of shells give options too.
    command.args_override_self(true).mut_args(with_negative_numbers).mut_subcommands(with_help)
}

/// Lets an option that needs a value take a negative number, so that the error about it names the option.
fn with_negative_numbers(argument: Arg) -> Arg {
    let needs_value = argument.get_action().takes_values()
        && argument.get_num_args().is_none_or(|values| values.min_values() > 0);
    if argument.is_positional() || !needs_value {
        return argument;
    }
    argument.allow_negative_numbers(true)
}

fn verbs(command: &Command) -> String {
    let styles = command.get_styles();
    let (heading, name) = (styles.get_header(), styles.get_literal());
    let lengths = command.get_subcommands().map(|verb| verb.get_name().len());
    let width = lengths.filter(|length| *length <= WIDEST).max().unwrap_or(0);
    let mut text = String::new();
    for (title, verbs) in GROUPS {
        // Writing to a string cannot fail.
        writeln!(text, "{heading}{title}:{heading:#}").unwrap_or_default();
        for verb in verbs.iter().filter_map(|verb| command.find_subcommand(verb)) {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            let verb_name = verb.get_name();
            writeln!(
                text,
                "  {name}{verb_name}{name:#}{:pad$}{about}{}",
                "",
                aliases(verb),
                pad = (width + 2).saturating_sub(verb_name.len()).max(2)
            )
            .unwrap_or_default();
        }
        text.push('\n');
    }
    text
}

fn aliases(verb: &Command) -> String {
    let aliases: Vec<&str> = verb.get_visible_aliases().collect();
    match aliases.as_slice() {
        [] => String::new(),
        [one] => format!(" [alias: {one}]"),
        several => format!(" [aliases: {}]", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cmd::Cli;

    #[test]
    fn every_verb_is_in_exactly_one_group() {
        let command = Cli::command();
        let mut verbs: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| *verbs).copied().collect();
        verbs.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, verbs);
    }
}
