//! Which containers' sessions are recorded.

use std::collections::BTreeMap;

use serde::Deserialize;
use zun_common::id::ProjectId;
use zun_common::recording::RecordPolicy;

use crate::app::InvalidField;

/// Which containers' sessions are recorded if their requests do not say. A request may ask for more, but not for less.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RecordingSettings {
    /// For projects that are not named below.
    pub default: RecordPolicy,
    /// For each of these projects, by their IDs.
    pub projects: BTreeMap<ProjectId, RecordPolicy>,
}

impl RecordingSettings {
    /// The policy of a new container.
    pub(crate) fn policy(
        &self,
        project: &ProjectId,
        requested: Option<RecordPolicy>,
    ) -> Result<RecordPolicy, InvalidField> {
        let least = self.projects.get(project).copied().unwrap_or(self.default);
        match requested {
            Some(less) if less < least => {
                let rule = match least {
                    RecordPolicy::Required => "`required`, because the operator requires it",
                    RecordPolicy::BestEffort | RecordPolicy::Off => {
                        "`best-effort` or `required`, because the operator requires it"
                    }
                };
                Err(InvalidField::new("record", less.as_str(), rule))
            }
            Some(requested) => Ok(requested),
            None => Ok(least),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_ask_for_more_recording_than_the_operator_and_not_for_less() {
        let text = "default = \"best-effort\"\nprojects = { lab = \"off\", bank = \"required\" }";
        let settings: RecordingSettings = toml::from_str(text).expect("settings");
        let policy = |project: &str, requested| {
            let project = project.parse().expect("a project");
            settings.policy(&project, requested).map_err(|error| error.to_string())
        };
        let (off, best, required) =
            (RecordPolicy::Off, RecordPolicy::BestEffort, RecordPolicy::Required);
        assert_eq!(policy("web", None), Ok(best));
        assert_eq!(policy("web", Some(required)), Ok(required));
        assert_eq!(policy("lab", None), Ok(off));
        assert_eq!(policy("bank", None), Ok(required));
        assert!(policy("web", Some(off)).is_err());
        let words = policy("bank", Some(best)).expect_err("refused");
        assert!(words.contains("record") && words.contains("operator"), "{words}");
    }
}
