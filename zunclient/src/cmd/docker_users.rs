//! Advice for verbs and options of docker that zun does not have, taken from docs/docker-users.md.

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};

const PAGE: &str = include_str!("../../../docs/docker-users.md");

/// Docker's short forms of options that zun refuses.
const SHORT: [(&str, &str); 1] = [("-a", "--attach")];

/// Verbs that people know from plugins of docker, from its groups of verbs, and from kubectl: the group, the verbs, and
/// what to do instead.
const OTHER_VERBS: [(&str, &[&str], &str); 9] = [
    (
        "",
        &["compose"],
        "not supported by zun: zun reads no Compose files; `zun run` starts each container",
    ),
    ("", &["buildx", "bake"], "not supported by zun: build elsewhere, and push to a registry"),
    ("", &["get"], "use `zun list`, `zun host list` or `zun volume list`"),
    ("", &["describe"], "use `zun show`, or `zun why` for how a container ended"),
    (
        "network",
        &["connect", "disconnect"],
        "not supported by zun: a container has one network, chosen with `zun run --network`",
    ),
    ("network", &["prune"], "not supported by zun: use `zun network delete`"),
    ("volume", &["prune"], "not supported by zun: use `zun volume delete`"),
    ("image", &["prune"], "not supported by zun: use `zun image delete`"),
    (
        "image",
        &["build", "history", "import", "load", "push", "save", "tag"],
        "not supported by zun: build elsewhere, and use a registry's tools",
    ),
];

/// Options of docker that zun refuses: the verbs, the options, and what to do instead.
const REFUSED: [(&[&str], &[&str], &str); 8] = [
    (
        &["commit"],
        &["-a", "--author", "-m", "--message", "-c", "--change"],
        "build an image elsewhere if it needs an author, a message or other metadata",
    ),
    (&["delete", "rm"], &["-l", "--link"], "containers of a `zun network` find each other by name"),
    (
        &["list", "ls", "ps"],
        &["-s", "--size"],
        "use `zun exec CONTAINER du -sx /` for the size of its files",
    ),
    (&["network create"], &["-d", "--driver"], "networks are bridges of Docker on one host"),
    (
        &["network create"],
        &["--gateway", "--ip-range", "--ipv6", "--attachable", "--label", "--opt"],
        "a network has --subnet and --internal only",
    ),
    (
        &["show", "inspect"],
        &["-s", "--size", "--type"],
        "zun show is only for containers; see `zun image show`, `zun volume show` and `zun network show`",
    ),
    (
        &["update"],
        &["--restart", "--pids-limit", "--memory-swap", "-c", "--cpu-shares"],
        "only --cpu and --memory can be changed: create the container again with the option",
    ),
    (
        &["volume create"],
        &["-d", "--driver", "--label", "--opt"],
        "volumes are directories of their host, and have only a name",
    ),
];

/// Returns advice for a wrong command line that docker would accept.
pub(super) fn advice(verbs: &[&str], error: &Error) -> Option<String> {
    let wrong = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.split(['=', ' ']).next(),
        Some(_) | None => None,
    };
    if error.kind() == ErrorKind::InvalidSubcommand {
        let verb = wrong(ContextKind::InvalidSubcommand)?;
        let group = verbs.join(" ");
        let is_other =
            |(own, names, _): &&(&str, &[&str], &str)| *own == group && names.contains(&verb);
        let other = OTHER_VERBS.iter().find(is_other).map(|(.., advice)| (*advice).to_owned());
        return other.or_else(|| if verbs.is_empty() { for_verb(verb) } else { None });
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
        _ => {
            let verbs = verbs.join(" ");
            let matches = |(names, options, _): &&(&[&str], &[&str], &str)| {
                names.contains(&verbs.as_str()) && options.contains(&option)
            };
            REFUSED.iter().find(matches).map(|(_, _, advice)| refused(advice))
        }
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
