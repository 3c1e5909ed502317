//! Advice for verbs and options of docker that zun does not have, taken from docs/docker-users.md.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

const PAGE: &str = include_str!("../../../docs/docker-users.md");

/// Docker's short forms of options that zun refuses.
const SHORT: [(&str, &str); 1] = [("-a", "--attach")];

/// Returns advice for a wrong command line that docker would accept.
pub(super) fn advice(verbs: &[&str], error: &Error) -> Option<String> {
    let wrong = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.split(['=', ' ']).next(),
        Some(_) | None => None,
    };
    if error.kind() == ErrorKind::InvalidSubcommand && verbs.is_empty() {
        return for_verb(wrong(ContextKind::InvalidSubcommand)?);
    }
    if error.kind() == ErrorKind::UnknownArgument {
        return for_option(verbs, wrong(ContextKind::InvalidArg)?);
    }
    None
}

fn for_verb(verb: &str) -> Option<String> {
    let [_, verdict, zun, note] = row(&format!("docker {verb}"))?;
    Some(if verdict == "refused" {
        refused(note)
    } else if note.starts_with("`zun ") {
        format!("use {note}")
    } else {
        format!("use `{zun}`: {note}")
    })
}

fn refused(note: &str) -> String {
    format!("not supported by zun: {note}")
}

fn for_option(verbs: &[&str], option: &str) -> Option<String> {
    match (verbs, option) {
        (["run" | "create"], _) => {
            let long = SHORT.iter().find(|(short, _)| *short == option);
            let [_, verdict, _zun, note] = row(long.map_or(option, |(_, long)| long))?;
            (verdict == "refused").then(|| refused(note))
        }
        (["login"], "-p" | "--password") => {
            Some("others can see a password among the arguments: use --password-stdin".to_owned())
        }
        _ => None,
    }
}

/// The row of the page whose first cell is this name, without the marks of Markdown.
fn row(name: &str) -> Option<[&'static str; 4]> {
    PAGE.lines().find_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, docker, verdict, zun, note, _] = cells.as_slice() else { return None };
        let plain = |cell: &'static str| cell.trim_matches('`');
        (docker.trim_matches('`') == name).then(|| [plain(docker), *verdict, plain(zun), *note])
    })
}
