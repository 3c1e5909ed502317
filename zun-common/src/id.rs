//! Identifiers. Each has a type whose values are valid by construction.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::environment::random_uuid;

/// The text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{value}` is not valid: {rule}")]
pub struct InvalidId {
    /// The kind of identifier, for the message.
    pub kind: &'static str,
    /// The text, truncated to 80 characters.
    pub value: String,
    /// The rule that was broken.
    pub rule: &'static str,
}

fn invalid(kind: &'static str, value: &str, rule: &'static str) -> InvalidId {
    InvalidId { kind, value: value.chars().take(80).collect(), rule }
}

/// Generates a newtype over `String` that only `FromStr` can create.
macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if $check(text) { Ok(Self(text.to_owned())) } else { Err(invalid($kind, text, $rule)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_printable_id(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_request(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

text_id!(
    /// A compute host's name: lower-case DNS labels joined by dots. It can be part of queue names,
    /// certificates and grants.
    HostName, "host name",
    "it must be DNS labels of 1 to 63 lower-case letters, digits or inner hyphens, joined by dots, at most 253 characters",
    is_host_name
);
text_id!(
    /// The engine's ID of a container: 64 lower-case hexadecimal digits.
    EngineId, "engine ID", "it must be 64 lower-case hexadecimal digits", is_hex64
);
text_id!(
    /// The engine's ID of an exec: 64 lower-case hexadecimal digits.
    ExecId, "exec ID", "it must be 64 lower-case hexadecimal digits", is_hex64
);
text_id!(
    /// A project (tenant): 1 to 255 printable ASCII characters without spaces.
    ProjectId, "project ID", "it must be 1 to 255 printable ASCII characters without spaces", is_printable_id
);
text_id!(
    /// A user: 1 to 255 printable ASCII characters without spaces.
    UserId, "user ID", "it must be 1 to 255 printable ASCII characters without spaces", is_printable_id
);
text_id!(
    /// The ID of a client's request. It travels over the bus into the agent's log.
    RequestId, "request ID", "it must be 1 to 64 letters, digits, hyphens or underscores", is_request
);

text_id!(
    /// The ID of a grant or ticket.
    GrantId, "grant ID", "it must be 1 to 64 letters, digits, hyphens or underscores", is_request
);

text_id!(
    /// The ID of a cluster: of its database, from the first start on.
    ClusterId, "cluster ID", "it must be 1 to 64 letters, digits, hyphens or underscores", is_request
);

impl RequestId {
    /// Returns a random ID in OpenStack's form `req-<uuid>`.
    pub fn random() -> Self {
        Self(format!("req-{}", random_uuid()))
    }
}

/// Generates a newtype over a UUID.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "messages", derive(schemars::JsonSchema))]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Returns a random ID.
            pub fn random() -> Self {
                Self(random_uuid())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                match Uuid::try_parse(text) {
                    Ok(uuid) => Ok(Self(uuid)),
                    Err(_not_a_uuid) => Err(invalid($kind, text, "it must be a UUID")),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(out)
            }
        }
    };
}

uuid_id!(
    /// Zun's ID of a container.
    ContainerId, "container ID"
);
uuid_id!(
    /// The ID of an operation in zun-api's ledger.
    OperationId, "operation ID"
);
uuid_id!(
    /// Zun's ID of an image on a host.
    ImageId, "image ID"
);
uuid_id!(
    /// The ID of a volume or a network.
    ResourceId, "resource ID"
);
uuid_id!(
    /// The ID of a recording of a session.
    RecordingId, "recording ID"
);
uuid_id!(
    /// The ID of a project's login to an image registry.
    RegistryId, "registry ID"
);

/// Generates the conversions between this ID and the subject ID of an operation.
macro_rules! subject {
    ($name:ident) => {
        impl $name {
            /// The ID under which the ledger has its operations. Each subject has a queue of its own, as each container
            /// has.
            pub const fn subject(self) -> ContainerId {
                ContainerId(self.0)
            }

            /// The subject of an operation of the ledger.
            pub const fn of_subject(subject: ContainerId) -> Self {
                Self(subject.0)
            }
        }
    };
}

subject!(ImageId);
subject!(ResourceId);

impl ContainerId {
    /// Returns the container's name in the engine. Docker refuses duplicates, which makes creation idempotent.
    pub fn engine_name(self) -> String {
        format!("zun-{}", self.0)
    }

    /// Returns the ID in an engine name, if the name has the form `zun-<uuid>`. Docker may put a `/` before it.
    pub fn from_engine_name(name: &str) -> Option<Self> {
        name.strip_prefix('/').unwrap_or(name).strip_prefix("zun-")?.parse().ok()
    }
}

/// A period in which one agent manages a host. zun-api assigns the next one each time an agent registers, and refuses
/// messages of earlier ones.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl HostName {
    /// The machine's name, in lower case.
    pub fn of_machine() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
        Ok(name.trim().to_lowercase().parse()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_made_of_lower_case_dns_labels() {
        for good in ["a", "compute1", "compute-1.example.org", "0"] {
            assert!(good.parse::<HostName>().is_ok(), "{good}");
        }
        for bad in ["", "Compute", "a_b", "-a", "a-", "a..b", ".a", "a.", "a/b", "ä", "a b"] {
            assert!(bad.parse::<HostName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_engine_id_is_unabbreviated_and_lower_case() {
        assert!("ab".repeat(32).parse::<EngineId>().is_ok());
        assert!("AB".repeat(32).parse::<EngineId>().is_err());
        assert!("ab".repeat(31).parse::<EngineId>().is_err());
    }

    #[test]
    fn a_container_id_round_trips_through_its_engine_name() {
        let id = ContainerId::random();
        assert_eq!(ContainerId::from_engine_name(&id.engine_name()), Some(id));
        assert_eq!(ContainerId::from_engine_name(&format!("/{}", id.engine_name())), Some(id));
        assert_eq!(ContainerId::from_engine_name("zun-test"), None);
    }

    #[test]
    fn an_error_names_kind_value_and_rule() {
        let refusal = "Bad!".parse::<HostName>().expect_err("an upper-case letter");
        assert!(refusal.to_string().starts_with("host name `Bad!` is not valid: it must be"));
    }
}
