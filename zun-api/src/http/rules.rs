//! What single values must be.

use super::fields::Rule;

fn printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn starts_alphanumeric(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

fn is_name(text: &str) -> bool {
    (2..=255).contains(&text.len())
        && starts_alphanumeric(text)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
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

/// A container's name.
pub(super) const NAME: Rule = Rule {
    description: "2 to 255 letters, digits, `_`, `.` or `-`, of which the first is a letter or a digit",
    is_valid: is_name,
};
/// An image.
pub(super) const IMAGE: Rule = Rule {
    description: "an image such as `cirros` or `registry/name:tag`, of 2 to 255 characters",
    is_valid: is_image,
};
/// A word of a command.
pub(super) const ARGUMENT: Rule =
    Rule { description: "a text without NUL", is_valid: |text| !text.contains('\0') };
/// The name of a variable.
pub(super) const VARIABLE_NAME: Rule = Rule {
    description: "texts of 1 to 255 characters without `=`, blanks or control characters",
    is_valid: |text| {
        (1..=255).contains(&text.len())
            && printable(text)
            && !text.contains(|character: char| character == '=' || character.is_whitespace())
    },
};
/// `NAME=VALUE`.
pub(super) const ASSIGNMENT: Rule = Rule {
    description: "NAME=VALUE without NUL",
    is_valid: |text| {
        !text.contains('\0')
            && text.split_once('=').is_some_and(|(name, _)| (VARIABLE_NAME.is_valid)(name))
    },
};
/// The name of a label. Zun's own begin with `zun.`.
pub(super) const LABEL_NAME: Rule = Rule {
    description: "texts of 1 to 255 printable characters that do not begin with `zun.`",
    is_valid: |text| {
        (1..=255).contains(&text.len()) && printable(text) && !text.starts_with("zun.")
    },
};
/// A working directory.
pub(super) const DIRECTORY: Rule = Rule {
    description: "an absolute path of at most 4096 characters",
    is_valid: |text| text.starts_with('/') && text.len() <= 4096 && printable(text),
};
/// A host name inside a container.
pub(super) const HOSTNAME: Rule =
    Rule { description: "1 to 255 letters, digits, `_`, `.` or `-`", is_valid: is_hostname };
/// What a compute host's name must be.
pub(super) const HOST_NAME_RULE: &str =
    "a host's name: lower-case letters, digits and inner hyphens, with dots between the parts";
/// A user, and a group.
pub(super) const USER: Rule = Rule {
    description: "a user such as `nobody`, `1000` or `1000:1000`, of at most 255 characters",
    is_valid: |text| {
        (1..=255).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !text.starts_with(':')
    },
};
/// A signing request. What is in it is for the CA to judge.
pub(super) const CSR: Rule = Rule {
    description: "a certificate signing request in PEM of at most 8192 characters",
    is_valid: |text| {
        text.len() <= 8192 && text.trim_start().starts_with("-----BEGIN CERTIFICATE REQUEST-----")
    },
};
/// The name of a connection function.
pub(super) const PROTOCOL: Rule = Rule {
    description: "a name of 1 to 64 characters",
    is_valid: |text| {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    },
};
/// Arguments of `ps`.
pub(super) const PS_ARGUMENTS: Rule = Rule {
    description: "at most 255 letters, blanks, `-`, `,` or `+`",
    is_valid: |text| {
        text.len() <= 255
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'-' | b',' | b'+'))
    },
};
/// What a list is narrowed by.
pub(super) const SHORT_TEXT: Rule =
    Rule { description: "a text of at most 255 characters", is_valid: |text| text.len() <= 255 };

/// What a signal must be.
pub(super) const SIGNAL_RULE: &str = "a signal such as `SIGTERM`, `term` or `15`";

/// A signal in the form that agents take: `SIGTERM`, or the number of a real-time one.
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
    fn a_signal_is_read_in_every_usual_form() {
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
    fn names_and_images_keep_their_rules() {
        for good in ["ab", "test", "a.b_c-1"] {
            assert!((NAME.is_valid)(good), "{good}");
        }
        for bad in ["a", "-a", "_a", "a b", "ä1", ""] {
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
    fn our_own_labels_cannot_be_set() {
        assert!((LABEL_NAME.is_valid)("zunder"));
        assert!(!(LABEL_NAME.is_valid)("zun.container"));
    }
}
