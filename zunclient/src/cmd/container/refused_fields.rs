//! Refused fields of a request to create a container, in words of the command line.

use clap::Args as _;

use super::container_flags::ContainerFlags;
use crate::cmd::Failure;

/// What is around the parts of the service's message.
const BEFORE_FIELD: &str = "Invalid input for field '";
const BEFORE_VALUE: &str = "'. Value: '";
const BEFORE_RULE: &str = "'. It must be ";

/// The options of fields that have another name.
const OPTIONS: [(&str, &str); 19] = [
    ("annotations", "annotation"),
    ("auto_remove", "rm"),
    ("cmd", "health-cmd"),
    ("devices", "device"),
    ("disk", "storage-opt"),
    ("dns_options", "dns-option"),
    ("environment", "env"),
    ("extra_hosts", "add-host"),
    ("hints", "hint"),
    ("image_pull_policy", "pull"),
    ("interval", "health-interval"),
    ("ipc_mode", "ipc"),
    ("labels", "label"),
    ("log_opts", "log-opt"),
    ("nets", "network"),
    ("pid_mode", "pid"),
    ("restart_policy", "restart"),
    ("sysctls", "sysctl"),
    ("ulimits", "ulimit"),
];

/// Names the option instead of the field, if the service refused one that has an option.
pub(super) fn in_options(failure: Failure) -> Failure {
    let message = failure.message.as_deref().and_then(with_option);
    Failure { message: message.or(failure.message), ..failure }
}

fn with_option(message: &str) -> Option<String> {
    let (field, rest) = message.strip_prefix(BEFORE_FIELD)?.split_once(BEFORE_VALUE)?;
    let (value, rule) = rest.split_once(BEFORE_RULE)?;
    let option = option(field.rsplit('.').next()?)?;
    let rule = rule.replacen(". (request", " (request", 1);
    // An object or a list is the request's form of what the user typed.
    if value.starts_with(['{', '[']) {
        return Some(format!("invalid value for '--{option}': it must be {rule}"));
    }
    Some(format!("invalid value '{value}' for '--{option}': it must be {rule}"))
}

/// The option that sets a field.
fn option(field: &str) -> Option<String> {
    let named = OPTIONS.iter().find(|(name, _)| *name == field);
    let option = named.map_or_else(|| field.replace('_', "-"), |(_, option)| (*option).to_owned());
    let command = ContainerFlags::augment_args(clap::Command::new("run"));
    let exists = command.get_arguments().any(|argument| argument.get_long() == Some(&option));
    exists.then_some(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_field_is_named_by_its_option() {
        for (message, words) in [
            (
                "Invalid input for field 'workdir'. Value: 'x'. It must be an absolute path. (request req-1)",
                "invalid value 'x' for '--workdir': it must be an absolute path (request req-1)",
            ),
            (
                "Invalid input for field 'engine_options.memory_swap'. Value: '5'. It must be -1, or at least the memory (512 MiB). (request req-1)",
                "invalid value '5' for '--memory-swap': it must be -1, or at least the memory (512 MiB) (request req-1)",
            ),
            (
                "Invalid input for field 'labels'. Value: '{\"a\":\"\"}'. It must be short.",
                "invalid value for '--label': it must be short.",
            ),
        ] {
            assert_eq!(in_options(Failure::new(message)).message.as_deref(), Some(words));
        }
        for other in [
            "Invalid input for field 'image'. Value: ''. It must be the name of an image.",
            "A container with the name 'web' already exists.",
        ] {
            assert_eq!(in_options(Failure::new(other)).message.as_deref(), Some(other));
        }
    }

    #[test]
    fn each_option_of_a_field_exists() {
        for (field, name) in OPTIONS {
            assert_eq!(option(field).as_deref(), Some(name), "{field}");
        }
    }
}
