//! The help of `zun` itself. clap has no groups of subcommands, so the list of verbs is rendered here, from the
//! command tree.

use std::fmt::Write as _;

use clap::Command;

/// The verbs under each heading, in the order in which they are shown.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Run and connect", &["run", "create", "start", "attach", "exec", "wait"]),
    ("Inspect", &["list", "show", "port", "action", "logs", "top", "stats"]),
    ("Change", &["stop", "restart", "kill", "pause", "unpause", "rename", "update", "delete"]),
    ("Files", &["cp"]),
    ("Service", &["host", "version"]),
];

/// Returns the same command, whose own help lists the verbs in groups.
pub(super) fn with_groups(command: Command) -> Command {
    let verbs = verbs(&command);
    command
        .override_usage("zun [OPTIONS] COMMAND")
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{verbs}{{all-args}}{{after-help}}"
        ))
        .mut_subcommands(|verb| verb.hide(true))
}

fn verbs(command: &Command) -> String {
    let styles = command.get_styles();
    let (heading, name) = (styles.get_header(), styles.get_literal());
    let width = command.get_subcommands().map(|verb| verb.get_name().len()).max().unwrap_or(0);
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
                pad = width + 2 - verb_name.len()
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
