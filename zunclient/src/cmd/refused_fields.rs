//! Refused values, in words of the command line: the service names the field of its request and the form that the field
//! has there.

use clap::{ArgMatches, Command, CommandFactory as _};
use serde_json::Value;

use super::{Cli, Failure};

/// What is around the parts of the service's message about a value.
const BEFORE_FIELD: &str = "Invalid input for field '";
const BEFORE_VALUE: &str = "'. Value: '";
const BEFORE_RULE: &str = "'. It must be ";

/// What is around the policy rule in the service's message about a right.
const BEFORE_POLICY: &str = "Policy doesn't allow container:create:";
const AFTER_POLICY: &str = " to be performed";

/// The options of fields that have another name.
const OPTIONS: [(&str, &str); 22] = [
    ("annotations", "annotation"),
    ("auto_remove", "rm"),
    ("cmd", "health-cmd"),
    ("devices", "device"),
    ("disk", "storage-opt"),
    ("dns_options", "dns-option"),
    ("environment", "env"),
    ("exposed_ports", "publish"),
    ("extra_hosts", "add-host"),
    ("filters", "filter"),
    ("hints", "hint"),
    ("image_pull_policy", "pull"),
    ("interval", "health-interval"),
    ("ipc_mode", "ipc"),
    ("labels", "label"),
    ("log_opts", "log-opt"),
    ("mounts", "mount"),
    ("nets", "network"),
    ("pid_mode", "pid"),
    ("restart_policy", "restart"),
    ("sysctls", "sysctl"),
    ("ulimits", "ulimit"),
];

/// The arguments of fields that have no option.
const ARGUMENTS: [(&str, &str); 6] = [
    ("command", "COMMAND"),
    ("image", "IMAGE"),
    ("name", "NAME"),
    ("repo", "IMAGE"),
    ("repository", "REPOSITORY[:TAG]"),
    ("tag", "REPOSITORY[:TAG]"),
];

/// Beginnings of rules about the form of a field, and the same about what is typed.
const FORMS: [(&str, &str); 7] = [
    ("a list of strings, each of them ", ""),
    ("an object whose keys are among ", "NAME=SOFT[:HARD], where NAME is one of "),
    (
        "an object whose keys are `label:NAME`, `affinity:NAME` or `anti_affinity:NAME`, each with the value of a label",
        "label:NAME=VALUE, affinity:NAME=VALUE or anti_affinity:NAME=VALUE",
    ),
    ("an object whose keys are absolute paths", "PATH[:OPTIONS] with an absolute path"),
    ("an object whose keys are ", "NAME=VALUE, where NAME is "),
    (
        "an object with the whole numbers soft and hard, -1 for unlimited, and soft at most hard",
        "NAME=SOFT[:HARD] with whole numbers, -1 for unlimited, and SOFT at most HARD",
    ),
    (
        "a list of objects with host_path and container_path, which are absolute paths, and permissions, which are some of",
        "PATH[:PATH][:rwm] with absolute paths, and some of",
    ),
];

/// What policy rules are about.
const RIGHTS: [(&str, &str); 16] = [
    ("annotation", "--annotation"),
    ("cap_add", "--cap-add of this capability"),
    ("device", "--device"),
    ("gpus", "--gpus"),
    ("host_network", "--network host"),
    ("host_path", "--volume or --mount with a path of the host"),
    ("ipc_mode", "--ipc host"),
    ("log_driver", "--log-driver or --log-opt with these values"),
    ("low_port", "--publish with a port of the host below 1024"),
    ("memory_swap", "--memory-swap of more than twice the memory"),
    ("pid_mode", "--pid host"),
    ("privileged", "--privileged"),
    ("runtime", "--runtime"),
    ("security_opt", "--security-opt with this value"),
    ("sysctl", "--sysctl of this parameter"),
    ("ulimit", "--ulimit of rtprio or nice"),
];

/// Replaces fields by the options and arguments of one verb.
#[derive(Debug, Clone, Default)]
pub(super) struct RefusedFields {
    /// The words of the verb, such as `image` and `search`. Its options are only read for a message: that takes longer
    /// than the rest of the start.
    verb: Vec<String>,
}

impl RefusedFields {
    /// For the verb of a command line.
    pub(super) fn of(mut matches: &ArgMatches) -> Self {
        let mut verb = Vec::new();
        while let Some((name, inner)) = matches.subcommand() {
            verb.push(name.to_owned());
            matches = inner;
        }
        Self { verb }
    }

    fn command(&self) -> Option<Command> {
        let find = |of: Command, name: &String| of.find_subcommand(name).cloned();
        self.verb.iter().try_fold(Cli::command(), find)
    }

    /// Names the option or argument instead of the field, if the service refused one that has an option or is an argument.
    pub(super) fn in_words(&self, failure: Failure) -> Failure {
        let message = failure.message.as_deref();
        let message = message.and_then(|message| self.value(message).or_else(|| right(message)));
        Failure { message: message.or(failure.message), ..failure }
    }

    fn value(&self, message: &str) -> Option<String> {
        let (before, rest) = message.split_once(BEFORE_FIELD)?;
        let (field, rest) = rest.split_once(BEFORE_VALUE)?;
        let (value, rule) = rest.split_once(BEFORE_RULE)?;
        let rule = rule.trim_end_matches('.');
        let in_form =
            |(form, typed): (&str, &str)| Some(format!("{typed}{}", rule.strip_prefix(form)?));
        let rule = FORMS.into_iter().find_map(in_form).unwrap_or_else(|| rule.to_owned());
        let verb = self.command()?;
        let place = field.split('.').find_map(|part| place(&verb, part))?;
        let value = typed(value).map(|value| format!(" '{value}'")).unwrap_or_default();
        Some(format!("{before}invalid value{value} for '{place}': it must be {rule}"))
    }
}

/// The option or argument of a verb that sets a field.
fn place(verb: &Command, field: &str) -> Option<String> {
    let named = OPTIONS.iter().find(|(name, _)| *name == field);
    let option = named.map_or_else(|| field.replace('_', "-"), |(_, option)| (*option).to_owned());
    if verb.get_arguments().any(|argument| argument.get_long() == Some(&option)) {
        return Some(format!("--{option}"));
    }
    let (_, name) = ARGUMENTS.iter().find(|(name, _)| *name == field)?;
    let only = verb.get_positionals().collect::<Vec<_>>();
    let own = match only[..] {
        [only] if field != "command" => only.get_value_names().and_then(|names| names.first()),
        _ => None,
    };
    Some(format!("<{}>", own.map_or(*name, |own| own.as_str())))
}

/// Names the option that needs a right.
fn right(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(BEFORE_POLICY)?;
    let (rule, _) = rest.split_once(AFTER_POLICY)?;
    let (_, option) = RIGHTS.iter().find(|(name, _)| *name == rule)?;
    Some(format!("cannot use {option}: {message}"))
}

/// Returns the value as it was typed; `None` if that is not known.
fn typed(value: &str) -> Option<String> {
    if !value.starts_with(['{', '[']) {
        return Some(value.to_owned());
    }
    match serde_json::from_str::<Value>(value).ok()? {
        Value::Object(pairs) => {
            let (key, value) = pairs.iter().next().filter(|_| pairs.len() == 1)?;
            match value {
                Value::String(text) => Some(format!("{key}={text}")),
                Value::Array(list) => match &list[..] {
                    [Value::String(text)] => Some(format!("{key}={text}")),
                    _ => None,
                },
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
            }
        }
        Value::Array(list) => {
            let words = list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
            shlex::try_join(words).ok()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn words(verb: &[&str], message: &str) -> String {
        let verb = verb.iter().map(|name| (*name).to_owned()).collect();
        let failure = RefusedFields { verb }.in_words(Failure::new(message));
        failure.message.expect("a message")
    }

    #[test]
    fn a_refused_field_is_named_by_its_option_or_argument() {
        let refused = |field: &str, value: &str, rule: &str| {
            format!("Invalid input for field '{field}'. Value: '{value}'. It must be {rule}.")
        };
        for (verb, (field, value, rule), expected) in [
            (
                &["run"][..],
                ("workdir", "x", "an absolute path"),
                "'x' for '--workdir': it must be an absolute path",
            ),
            (
                &["run"],
                ("engine_options.memory_swap", "5", "-1, or at least the memory (512 MiB)"),
                "'5' for '--memory-swap': it must be -1, or at least the memory (512 MiB)",
            ),
            (
                &["create"],
                ("engine_options.ulimits", "foo", "an object whose keys are among core, cpu"),
                "'foo' for '--ulimit': it must be NAME=SOFT[:HARD], where NAME is one of core, cpu",
            ),
            (
                &["run"],
                ("engine_options.cap_drop", "foo", "a list of strings, each of them a capability"),
                "'foo' for '--cap-drop': it must be a capability",
            ),
            (&["run"], ("labels", "{\"a\":\"\"}", "short"), "'a=' for '--label': it must be short"),
            (
                &["events"],
                ("filters", "{\"event\":[\"foo\"]}", "an event such as create"),
                "'event=foo' for '--filter': it must be an event such as create",
            ),
            (
                &["exec"],
                ("workdir", "rel", "an absolute path"),
                "'rel' for '--workdir': it must be an absolute path",
            ),
            (&["rename"], ("name", "a", "longer"), "'a' for '<NAME>': it must be longer"),
            (
                &["image", "search"],
                ("image", "-", "an image"),
                "'-' for '<TERM>': it must be an image",
            ),
            (
                &["exec"],
                ("command", "[\"\"]", "a command"),
                "'''' for '<COMMAND>': it must be a command",
            ),
        ] {
            let shown = words(verb, &refused(field, value, rule));
            assert_eq!(shown, format!("invalid value {expected}"), "{verb:?}");
        }
        let message = refused("signal", "FOO", "a signal");
        let expected = "web: invalid value 'FOO' for '--signal': it must be a signal";
        assert_eq!(words(&["kill"], &format!("web: {message}")), expected);
        for other in
            [&refused("links", "", "a link"), "A container with the name 'web' already exists."]
        {
            assert_eq!(words(&["run"], other), other.to_owned());
        }
    }

    #[test]
    fn an_option_that_needs_a_right_is_named() {
        let message =
            "Policy doesn't allow container:create:sysctl to be performed (request req-1)";
        let expected = format!("cannot use --sysctl of this parameter: {message}");
        assert_eq!(words(&["run"], message), expected);
    }

    #[test]
    fn each_option_of_a_field_exists() {
        let root = Cli::command();
        let verbs = ["run", "events"].map(|name| root.find_subcommand(name).expect("a verb"));
        let exists = |long: &str| {
            let has = |verb: &&Command| {
                verb.get_arguments().any(|one: &Arg| one.get_long() == Some(long))
            };
            verbs.iter().any(has)
        };
        for (_, option) in OPTIONS {
            assert!(exists(option), "{option}");
        }
        for (_, words) in RIGHTS {
            let option = words.split(' ').next().and_then(|option| option.strip_prefix("--"));
            assert!(option.is_some_and(exists), "{words}");
        }
    }
}
