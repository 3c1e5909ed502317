//! Rules for single fields.

use zun_common::id::{ContainerId, ExecId, HostName};
use zun_common::status::{Status, TaskState};

use super::field::{Most, Rule};

fn printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn starts_alphanumeric(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn is_name(text: &str) -> bool {
    (2..=255).contains(&text.len())
        && starts_alphanumeric(text)
        && !looks_like_an_id(text)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Whether a text could be taken for a container's ID: 32 hexadecimal digits, with or without hyphens.
fn looks_like_an_id(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| *byte != b'-');
    let is_hex = |byte: u8| byte.is_ascii_hexdigit();
    digits.clone().count() == 32 && digits.into_iter().all(is_hex)
}

fn is_image(text: &str) -> bool {
    (2..=255).contains(&text.len())
        && starts_alphanumeric(text)
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/' | b':' | b'@')
        })
}

fn is_hostname(text: &str) -> bool {
    (1..=255).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Name of a container.
pub(super) const NAME: Rule = Rule {
    description: "2 to 255 letters, digits, `_`, `.` or `-`, starting with a letter or digit, and not like a UUID",
    is_valid: is_name,
};
/// Name of an image.
pub(super) const IMAGE: Rule = Rule {
    description: "an image such as `cirros` or `registry/name:tag`, of 2 to 255 characters",
    is_valid: is_image,
};
/// Word of a command.
pub(super) const ARGUMENT: Rule =
    Rule { description: "a string without NUL characters", is_valid: |text| !text.contains('\0') };
/// Name of an environment variable.
pub(super) const VARIABLE_NAME: Rule = Rule {
    description: "strings of 1 to 255 characters without `=`, whitespace or control characters",
    is_valid: |text| {
        (1..=255).contains(&text.len())
            && printable(text)
            && !text.contains(|character: char| character == '=' || character.is_whitespace())
    },
};
/// Environment variable, `NAME=VALUE`.
pub(super) const ASSIGNMENT: Rule = Rule {
    description: "NAME=VALUE without NUL characters",
    is_valid: |text| {
        !text.contains('\0')
            && text.split_once('=').is_some_and(|(name, _)| (VARIABLE_NAME.is_valid)(name))
    },
};
/// Key of a label. Zun's own labels start with `zun.`.
pub(super) const LABEL_NAME: Rule = Rule {
    description: "strings of 1 to 255 printable characters that do not start with `zun.`",
    is_valid: |text| {
        (1..=255).contains(&text.len()) && printable(text) && !text.starts_with("zun.")
    },
};
/// The most labels of an object: every list has them all.
pub(super) const LABELS: Most = Most { entries: 256, bytes: 64 << 10 };
/// Working directory.
pub(super) const DIRECTORY: Rule = Rule {
    description: "an absolute path of at most 4096 characters",
    is_valid: |text| text.starts_with('/') && text.len() <= 4096 && printable(text),
};
/// Host name inside a container.
pub(super) const HOSTNAME: Rule =
    Rule { description: "1 to 255 letters, digits, `_`, `.` or `-`", is_valid: is_hostname };
/// Name of a compute host.
pub(super) const HOST_NAME: Rule = Rule {
    description: "a host name of lower-case letters, digits and inner hyphens, with dots between the parts",
    is_valid: |text| text.parse::<HostName>().is_ok(),
};
/// Status of a container.
pub(super) const STATUS: Rule = Rule {
    description: "a status such as `Running`",
    is_valid: |text| text.parse::<Status>().is_ok(),
};
/// Task state of a container.
pub(super) const TASK_STATE: Rule = Rule {
    description: "a task state such as `container_creating`",
    is_valid: |text| text.parse::<TaskState>().is_ok(),
};
/// ID of a container.
pub(super) const CONTAINER_ID: Rule = Rule {
    description: "a container's UUID",
    is_valid: |text| text.parse::<ContainerId>().is_ok(),
};
/// ID of an exec.
pub(super) const EXEC_ID: Rule = Rule {
    description: "64 lower-case hexadecimal digits",
    is_valid: |text| text.parse::<ExecId>().is_ok(),
};
/// User, and optionally group.
pub(super) const USER: Rule = Rule {
    description: "a user such as `nobody`, `1000` or `1000:1000`, of at most 255 characters",
    is_valid: |text| {
        (1..=255).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.starts_with(':')
    },
};
/// Certificate signing request. The CA checks its content.
pub(super) const CSR: Rule = Rule {
    description: "a certificate signing request in PEM of at most 8192 characters",
    is_valid: |text| {
        text.len() <= 8192 && text.trim_start().starts_with("-----BEGIN CERTIFICATE REQUEST-----")
    },
};
/// Name of a console protocol.
pub(super) const PROTOCOL: Rule = Rule {
    description: "a name of 1 to 64 characters",
    is_valid: |text| {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    },
};
/// Path in a container.
pub(super) const PATH: Rule = Rule {
    description: "a path of 1 to 4096 characters without NUL characters",
    is_valid: |text| (1..=4096).contains(&text.len()) && !text.contains('\0'),
};
/// Any string.
pub(super) const ANY_TEXT: Rule = Rule { description: "a string", is_valid: |_| true };
/// Repository of an image.
pub(super) const REPOSITORY: Rule = Rule {
    description: "1 to 128 lower-case letters and digits, with single `_`, `.`, `-` or `/` between them",
    is_valid: |text| {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let bytes = text.as_bytes();
        (1..=128).contains(&bytes.len())
            && bytes.iter().all(|byte| is_plain(*byte) || matches!(byte, b'_' | b'.' | b'-' | b'/'))
            && bytes.split(|byte| !is_plain(*byte)).all(|part| !part.is_empty())
    },
};
/// Tag of an image.
pub(super) const TAG: Rule = Rule {
    description: "1 to 128 letters, digits, `_`, `.` or `-`, not starting with `.` or `-`",
    is_valid: |text| {
        (1..=128).contains(&text.len())
            && !text.starts_with(['.', '-'])
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
    },
};
/// Arguments for `ps`.
pub(super) const PS_ARGUMENTS: Rule = Rule {
    description: "at most 255 letters, spaces, `-`, `,` or `+`",
    is_valid: |text| {
        text.len() <= 255
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'-' | b',' | b'+'))
    },
};
/// Value of a filter.
pub(super) const SHORT_TEXT: Rule =
    Rule { description: "a string of at most 255 characters", is_valid: |text| text.len() <= 255 };
/// Reason for disabling a service.
pub(super) const DISABLED_REASON: Rule = Rule {
    description: "1 to 255 printable characters",
    is_valid: |text| (1..=255).contains(&text.chars().count()) && printable(text),
};
/// Availability zone.
pub(super) const ZONE: Rule = Rule {
    description: "1 to 255 printable characters",
    is_valid: |text| (1..=255).contains(&text.len()) && printable(text),
};

/// Rule for signals.
pub(super) const SIGNAL_RULE: &str = "a signal such as `SIGTERM`, `term` or `15`";

/// Normalises a signal for agents: `SIGTERM`, or the number of a real-time signal.
pub(super) fn signal(text: &str) -> Option<String> {
    if let Ok(number) = text.parse::<usize>() {
        return match number {
            1..=31 => zun_common::signal::name(number),
            34..=64 => Some(number.to_string()),
            _ => None,
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    zun_common::signal::number(name).map(|_known| format!("SIG{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_accepted_in_every_usual_form() {
        for (text, signal_name) in [
            ("HUP", "SIGHUP"),
            ("SIGHUP", "SIGHUP"),
            ("sigterm", "SIGTERM"),
            ("9", "SIGKILL"),
            ("28", "SIGWINCH"),
            ("35", "35"),
        ] {
            assert_eq!(signal(text).as_deref(), Some(signal_name), "{text}");
        }
        for bad in ["", "0", "32", "65", "-9", "SIGFOO", "SIG", "TERM KILL"] {
            assert_eq!(signal(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_and_images_are_validated() {
        for good in ["ab", "test", "a.b_c-1", "5bb9ee06-1b6", "deadbeef"] {
            assert!((NAME.is_valid)(good), "{good}");
        }
        let ids = ["5bb9ee06-1b6a-4a38-b0b9-c8b651638bd6", "5BB9EE061B6A4A38B0B9C8B651638BD6"];
        for bad in ["a", "-a", "_a", "a b", "ä1", ""].into_iter().chain(ids) {
            assert!(!(NAME.is_valid)(bad), "{bad}");
        }
        for good in ["cirros", "docker.io/library/busybox:1.36", "host:5000/x@sha256:abc"] {
            assert!((IMAGE.is_valid)(good), "{good}");
        }
        for bad in ["c", "-x", "a b", "a\nb", "$(x)"] {
            assert!(!(IMAGE.is_valid)(bad), "{bad}");
        }
    }

    #[test]
    fn labels_reserved_for_zun_are_refused() {
        assert!((LABEL_NAME.is_valid)("zunder"));
        assert!(!(LABEL_NAME.is_valid)("zun.container"));
    }
}
