//! Rules for the fields of `engine_options`.

use std::net::IpAddr;

use zun_common::engine_options::Gpus;
use zun_common::ports::ContainerPort;

use crate::http::field::Rule;
use crate::http::rules::{DIRECTORY, HOSTNAME};

/// The capabilities of Linux, and all of them.
const CAPABILITIES: [&str; 42] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];

/// The names of resource limits.
pub(super) const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Normalises the name of a capability: upper case, without `CAP_`.
pub(super) fn capability(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    upper.strip_prefix("CAP_").map(str::to_owned).unwrap_or(upper)
}

/// Name of a capability.
pub(super) const CAPABILITY: Rule = Rule {
    description: "a capability of Linux such as `NET_ADMIN`, or `ALL`",
    is_valid: |text| CAPABILITIES.contains(&capability(text).as_str()),
};
/// Where a file system is mounted.
pub(super) const MOUNT_POINT: Rule = Rule {
    description: "absolute paths other than `/`, without `..`, of at most 4096 characters",
    is_valid: |text| {
        (DIRECTORY.is_valid)(text)
            && !text.split('/').any(|part| part == "..")
            && text.bytes().any(|byte| byte != b'/')
    },
};
/// Mount options of a temporary file system.
pub(super) const TMPFS: Rule = Rule {
    description: "empty, or mount options such as `size=64m,mode=1777`: size, mode, uid, gid, nr_inodes, rw, ro, exec, \
                  noexec, suid, nosuid, dev, nodev, noatime, relatime or sync",
    is_valid: |text| text.is_empty() || text.split(',').all(is_tmpfs_option),
};
/// A security option.
pub(super) const SECURITY_OPTION: Rule = Rule {
    description: "`no-new-privileges`, or one of `seccomp=…`, `apparmor=…` and `label=…`",
    is_valid: |text| {
        let known = ["seccomp=", "apparmor=", "label=", "seccomp:", "apparmor:", "label:"];
        let privileges = text.strip_prefix("no-new-privileges");
        text.len() <= 65_536
            && !text.contains('\0')
            && (privileges
                .is_some_and(|value| matches!(value, "" | "=true" | ":true" | "=false" | ":false"))
                || known.iter().any(|key| text.starts_with(key)))
    },
};
/// A port of the container.
pub(super) const PORT: Rule = Rule {
    description: "a port from 1 to 65535, with /tcp or /udp, such as `80/tcp`",
    is_valid: |text| text.parse::<ContainerPort>().is_ok(),
};
/// A group, by name or number.
pub(super) const GROUP: Rule = Rule {
    description: "a group such as `audio` or `1000`, of at most 255 characters",
    is_valid: |text| {
        (1..=255).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':')
    },
};
/// The name of a kernel parameter.
pub(super) const SYSCTL: Rule = Rule {
    description: "names such as `net.ipv4.ip_forward`, of letters, digits, `_`, `-`, `/` and `.`",
    is_valid: |text| {
        (1..=255).contains(&text.len())
            && text.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'/' | b'.')
            })
            && !text.contains("..")
    },
};
/// A line for `/etc/hosts`.
pub(super) const EXTRA_HOST: Rule = Rule {
    description: "NAME:ADDRESS with an IP address or `host-gateway`",
    is_valid: |text| {
        text.split_once(':').is_some_and(|(name, address)| {
            let address =
                address.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(address);
            (HOSTNAME.is_valid)(name)
                && (address == "host-gateway" || address.parse::<IpAddr>().is_ok())
        })
    },
};
/// An IP address.
pub(super) const ADDRESS: Rule =
    Rule { description: "an IP address", is_valid: |text| text.parse::<IpAddr>().is_ok() };
/// A DNS search domain.
pub(super) const DNS_SEARCH: Rule =
    Rule { description: "a domain, or `.` for none", is_valid: |text| (HOSTNAME.is_valid)(text) };
/// An option of the resolver.
pub(super) const DNS_OPTION: Rule = Rule {
    description: "an option such as `ndots:2`, of at most 255 characters without whitespace",
    is_valid: |text| {
        (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    },
};
/// The name of a log driver or runtime.
pub(in crate::http) const PLUGIN: Rule = Rule {
    description: "a name of 1 to 255 letters, digits, `_`, `-`, `.`, `/` or `:`",
    is_valid: |text| {
        (1..=255).contains(&text.len())
            && text.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b':')
            })
    },
};
/// The container's PID namespace.
pub(super) const PID_MODE: Rule =
    Rule { description: "`host`, or left out", is_valid: |text| text == "host" };
/// The container's IPC namespace.
pub(super) const IPC_MODE: Rule = Rule {
    description: "`none`, `private`, `shareable` or `host`",
    is_valid: |text| matches!(text, "none" | "private" | "shareable" | "host"),
};
/// GPUs of the host.
pub(super) const GPUS: Rule = Rule {
    description: "`all`, a number from 1 to 64, or `device=` with IDs, such as `device=0,1`",
    is_valid: |text| text.parse::<Gpus>().is_ok(),
};
/// A platform.
pub(in crate::http) const PLATFORM: Rule = Rule {
    description: "OS/ARCHITECTURE[/VARIANT], such as `linux/arm64`",
    is_valid: |text| {
        let parts = text.split('/').collect::<Vec<_>>();
        let is_word = |part: &&str| {
            (1..=32).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        (2..=3).contains(&parts.len()) && parts.iter().all(is_word)
    },
};
/// The command of a health check.
pub(super) const HEALTH_COMMAND: Rule = Rule {
    description: "a command of 1 to 4096 characters without NUL characters",
    is_valid: |text| (1..=4096).contains(&text.len()) && !text.contains('\0'),
};

fn is_tmpfs_option(option: &str) -> bool {
    let flags = [
        "rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "noatime", "relatime",
        "sync",
    ];
    let Some((name, value)) = option.split_once('=') else { return flags.contains(&option) };
    let digits = match name {
        "size" => value
            .trim_end_matches(|unit: char| matches!(unit.to_ascii_lowercase(), 'k' | 'm' | 'g')),
        "mode" | "uid" | "gid" | "nr_inodes" => value,
        _ => return false,
    };
    (1..=20).contains(&digits.len())
        && value.len() - digits.len() <= 1
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}
