//! Which events a stream has. As in Docker, several values of one key are alternatives, except labels, and an event must
//! match each key.

use std::collections::BTreeMap;
use std::str::FromStr;

use zun_common::api::v1::event::{EventAction, EventType};

use crate::db::event::Recorded;

/// The rule for a filter.
const RULE: &str =
    "a JSON object of lists of strings with the keys container, event, type, host, label and image";
/// Maximum number of values.
const MAX_VALUES: usize = 100;

/// Selects events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct EventFilter {
    values: BTreeMap<String, Vec<String>>,
}

/// Why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidFilter(pub(crate) String);

impl FromStr for EventFilter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let invalid = |rule: &str| InvalidFilter(rule.to_owned());
        let values: BTreeMap<String, Vec<String>> =
            serde_json::from_str(text).map_err(|_no_lists| invalid(RULE))?;
        if values.values().map(Vec::len).sum::<usize>() > MAX_VALUES {
            return Err(InvalidFilter(format!("at most {MAX_VALUES} values")));
        }
        for (key, values) in &values {
            let (is_known, rule) = rule(key).ok_or_else(|| invalid(RULE))?;
            if !values.iter().all(|value| is_known(value)) {
                return Err(invalid(rule));
            }
        }
        Ok(Self { values })
    }
}

/// Whether a value has a meaning, and which ones have.
type Rule = (fn(&str) -> bool, &'static str);

/// The rule for the values of a key. `None` if there is no such key.
fn rule(key: &str) -> Option<Rule> {
    const TYPES: &str = "the type container, image, volume or network";
    const EVENTS: &str = "an event such as create, start, die, oom, stop, kill, restart, rebuild, pause, unpause, rename, \
                          update, health_status, destroy, pull or delete";
    match key {
        "type" => Some((|value| EventType::ALL.iter().any(|kind| kind.as_str() == value), TYPES)),
        "event" => Some((|value| EventAction::NAMES.contains(&name_of(value)), EVENTS)),
        "container" | "host" | "label" | "image" => {
            Some((|value| !value.is_empty(), "values that are not empty"))
        }
        _ => None,
    }
}

/// `health_status: healthy` is one of the values of `health_status`.
fn name_of(action: &str) -> &str {
    action.split(':').next().unwrap_or_default()
}

impl EventFilter {
    /// Whether it selects by host, which not everybody may know.
    pub(crate) fn is_by_host(&self) -> bool {
        self.values.contains_key("host")
    }

    /// Whether a stream has the event.
    pub(crate) fn matches(&self, event: &Recorded) -> bool {
        self.values.iter().all(|(key, values)| {
            let mut values = values.iter().map(String::as_str);
            match key.as_str() {
                "type" => values.any(|value| value == event.kind),
                "event" => values.any(|value| is_action(value, &event.action)),
                "container" => {
                    let is_container = event.kind == EventType::Container.as_str();
                    is_container && values.any(|value| is_subject(value, event))
                }
                "host" => values.any(|value| event.host.as_deref() == Some(value)),
                "label" => values.all(|value| has_label(value, &event.labels)),
                "image" => values.any(|value| is_image(value, event)),
                _ => true,
            }
        })
    }
}

/// `health_status` selects all of its values.
fn is_action(value: &str, action: &str) -> bool {
    value == action || action.split_once(':').is_some_and(|(name, _)| name == value)
}

/// A container by its name, its ID or the beginning of its ID.
fn is_subject(value: &str, event: &Recorded) -> bool {
    event.attributes.get("name").is_some_and(|name| name == value)
        || event.subject.starts_with(value)
}

fn has_label(value: &str, labels: &BTreeMap<String, String>) -> bool {
    match value.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|held| held == value),
        None => labels.contains_key(value),
    }
}

/// An image by its name, with or without its tag.
fn is_image(value: &str, event: &Recorded) -> bool {
    let key = if event.kind == EventType::Image.as_str() { "name" } else { "image" };
    let Some(image) = event.attributes.get(key) else { return false };
    let rest = image.strip_prefix(value);
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.starts_with('@') || (rest.starts_with(':') && !rest.contains('/'))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::db::event::Position;

    fn event() -> Recorded {
        let pairs = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        Recorded {
            position: Position::FIRST,
            project: "p".to_owned(),
            kind: "container".to_owned(),
            action: "health_status: healthy".to_owned(),
            subject: "0a1b2c3d".to_owned(),
            host: Some("h1".to_owned()),
            attributes: pairs(&[("name", "web"), ("image", "r:5000/app:1")]),
            labels: pairs(&[("tier", "web"), ("blue", "")]),
            at: chrono::NaiveDateTime::default(),
        }
    }

    #[test]
    fn values_of_a_key_are_alternatives_except_labels_and_each_key_must_match() {
        for (filter, matches) in [
            (json!({}), true),
            (json!({"type": ["image", "container"]}), true),
            (json!({"type": ["image"]}), false),
            (json!({"event": ["die", "health_status"]}), true),
            (json!({"event": ["health_status: healthy"]}), true),
            (json!({"event": ["health_status: unhealthy"]}), false),
            (json!({"container": ["web"]}), true),
            (json!({"container": ["we"]}), false),
            (json!({"container": ["other", "0a1b"]}), true),
            (json!({"container": ["web"], "type": ["image"]}), false),
            (json!({"host": ["h2", "h1"]}), true),
            (json!({"label": ["tier"]}), true),
            (json!({"label": ["tier=web", "blue"]}), true),
            (json!({"label": ["tier=web", "red"]}), false),
            (json!({"image": ["r:5000/app:1"]}), true),
            (json!({"image": ["r:5000/app"]}), true),
            (json!({"image": ["r"]}), false),
            (json!({"image": ["app"]}), false),
        ] {
            let parsed: EventFilter = filter.to_string().parse().expect("a filter");
            assert_eq!(parsed.matches(&event()), matches, "{filter}");
        }
    }

    #[test]
    fn unknown_keys_and_words_are_refused() {
        for bad in [
            "",
            "[]",
            r#"{"type": "container"}"#,
            r#"{"type": ["pod"]}"#,
            r#"{"event": ["exec_start"]}"#,
            r#"{"container": [""]}"#,
            r#"{"daemon": ["d"]}"#,
        ] {
            assert!(bad.parse::<EventFilter>().is_err(), "{bad}");
        }
        let many = json!({"container": vec!["a"; 101]}).to_string();
        assert!(many.parse::<EventFilter>().is_err());
    }
}
