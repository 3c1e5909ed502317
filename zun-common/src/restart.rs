//! When the engine restarts a container.

use serde::{Deserialize, Serialize};

use crate::api::v1::container::RestartPolicy;

/// When the engine restarts a container. Serialized as a [`RestartPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RestartPolicy", into = "RestartPolicy")]
pub enum Restart {
    /// Never.
    No,
    /// Whenever its process ends, and when the engine starts.
    Always,
    /// As `Always`, unless it was stopped before.
    UnlessStopped,
    /// When its process fails.
    OnFailure {
        /// Maximum number of restarts; 0 is unlimited.
        retries: u32,
    },
}

/// A [`RestartPolicy`] that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the restart policy `{name}` with the count `{count}` is not valid: it must be `no`, `always`, `unless-stopped` or, \
     with a count, `on-failure`"
)]
pub struct InvalidRestart {
    name: String,
    count: String,
}

impl TryFrom<RestartPolicy> for Restart {
    type Error = InvalidRestart;

    fn try_from(policy: RestartPolicy) -> Result<Self, InvalidRestart> {
        let RestartPolicy { name, maximum_retry_count: count } = policy;
        let retries = if count.is_empty() { Some(0) } else { count.parse().ok() };
        match (name.as_str(), retries) {
            ("on-failure", Some(retries)) => Ok(Self::OnFailure { retries }),
            ("no" | "", Some(0)) => Ok(Self::No),
            ("always", Some(0)) => Ok(Self::Always),
            ("unless-stopped", Some(0)) => Ok(Self::UnlessStopped),
            _ => Err(InvalidRestart { name, count }),
        }
    }
}

impl From<Restart> for RestartPolicy {
    fn from(restart: Restart) -> Self {
        let (name, retries) = match restart {
            Restart::No => ("no", 0),
            Restart::Always => ("always", 0),
            Restart::UnlessStopped => ("unless-stopped", 0),
            Restart::OnFailure { retries } => ("on-failure", retries),
        };
        Self { name: name.to_owned(), maximum_retry_count: retries.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_in_every_form_that_was_ever_written() {
        let read = |text: &str| serde_json::from_str::<Restart>(text).ok();
        for (text, restart) in [
            (r#"{"Name":"no","MaximumRetryCount":"0"}"#, Restart::No),
            (r#"{"Name":"","MaximumRetryCount":""}"#, Restart::No),
            (r#"{"Name":"always"}"#, Restart::Always),
            (r#"{"Name":"unless-stopped","MaximumRetryCount":"0"}"#, Restart::UnlessStopped),
            (r#"{"Name":"on-failure","MaximumRetryCount":"3"}"#, Restart::OnFailure { retries: 3 }),
        ] {
            assert_eq!(read(text), Some(restart), "{text}");
            assert_eq!(read(&serde_json::to_string(&restart).expect("text")), Some(restart));
        }
        for bad in [
            r#"{"Name":"sometimes"}"#,
            r#"{"Name":"always","MaximumRetryCount":"3"}"#,
            r#"{"Name":"on-failure","MaximumRetryCount":"-1"}"#,
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
