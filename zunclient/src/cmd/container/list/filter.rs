//! The filters of `zun list`.

use std::str::FromStr;

use chrono::NaiveDateTime;
use zun_common::api::v1::container::Container;
use zun_common::status::Status;

/// One `--filter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    /// The name is this text.
    Name(String),
    /// The name contains this text.
    NameContains(String),
    /// There is a label with this key, and this value if there is one.
    Label(String, Option<String>),
    /// The status is this one.
    Status(Status),
    /// The image is this one.
    Image(String),
    /// The host is this one.
    Host(String),
    /// It was created after this container.
    Since(String),
}

/// The filters, for messages.
const KEYS: &str = "name=NAME, name~=PART, label=KEY[=VALUE], status=STATUS, image=IMAGE, host=HOST or since=CONTAINER";

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("use {KEYS}");
        let (key, value) = text.split_once('=').ok_or_else(unknown)?;
        if value.is_empty() {
            return Err(format!("there is no value after `{key}=`; use {KEYS}"));
        }
        let value = value.to_owned();
        Ok(match key {
            "name" => Self::Name(value),
            "name~" => Self::NameContains(value),
            "label" => match value.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), Some(value.to_owned())),
                None => Self::Label(value, None),
            },
            "status" => Self::Status(status(&value)?),
            "image" => Self::Image(value),
            "host" => Self::Host(value),
            "since" => Self::Since(value),
            _ => return Err(unknown()),
        })
    }
}

/// Parses a status. Case does not matter, and Docker's `exited` is known.
pub(super) fn status(text: &str) -> Result<Status, String> {
    if text.eq_ignore_ascii_case("exited") {
        return Ok(Status::Stopped);
    }
    let found = Status::ALL.iter().find(|status| status.as_str().eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
        format!("`{text}` is not a status; use one of {}", names.join(", "))
    })
}

/// All filters of a list. Several values of one key are alternatives, except labels: each must be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filters {
    filters: Vec<Filter>,
    /// When the container of `since` was created.
    since: Option<NaiveDateTime>,
}

impl Filters {
    pub(super) fn new(filters: Vec<Filter>) -> Self {
        Self { filters, since: None }
    }

    /// The container of `since`.
    pub(super) fn since(&self) -> Option<&str> {
        self.filters.iter().find_map(|filter| match filter {
            Filter::Since(container) => Some(container.as_str()),
            Filter::Name(_)
            | Filter::NameContains(_)
            | Filter::Label(..)
            | Filter::Status(_)
            | Filter::Image(_)
            | Filter::Host(_) => None,
        })
    }

    /// Sets when the container of `since` was created.
    pub(super) fn set_since(&mut self, time: Option<NaiveDateTime>) {
        self.since = time;
    }

    /// Returns the query parameters of those that the service can apply: exact values without alternatives.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let parameters = self.filters.iter().filter_map(|filter| {
            let parameter = match filter {
                Filter::Name(name) => ("name", name.clone()),
                Filter::Status(status) => ("status", status.to_string()),
                Filter::Image(image) => ("image", image.clone()),
                Filter::Host(host) => ("host", host.clone()),
                Filter::NameContains(_) | Filter::Label(..) | Filter::Since(_) => return None,
            };
            (self.alternatives(filter).count() == 1).then_some(parameter)
        });
        parameters.collect()
    }

    /// Whether the service applies all of them.
    pub(super) fn are_the_services(&self) -> bool {
        self.parameters().len() == self.filters.len()
    }

    /// The filters of which one must match, for this one.
    fn alternatives(&self, filter: &Filter) -> impl Iterator<Item = &Filter> {
        let group = group(filter);
        let is_label = matches!(filter, Filter::Label(..));
        let same = move |other: &&Filter| !is_label && group == self::group(other);
        self.filters.iter().filter(same)
    }

    /// Whether a list shows the container.
    pub(super) fn match_container(&self, container: &Container) -> bool {
        self.filters.iter().all(|filter| {
            self.matches(filter, container)
                || self.alternatives(filter).any(|other| self.matches(other, container))
        })
    }

    fn matches(&self, filter: &Filter, container: &Container) -> bool {
        match filter {
            Filter::Name(name) => container.name == *name,
            Filter::NameContains(part) => container.name.contains(part.as_str()),
            Filter::Label(key, value) => container
                .labels
                .get(key)
                .is_some_and(|held| value.as_ref().is_none_or(|value| value == held)),
            Filter::Status(status) => container.status == *status,
            Filter::Image(image) => container.image == *image,
            Filter::Host(host) => {
                container.host.as_ref().is_some_and(|held| held.to_string() == *host)
            }
            Filter::Since(_) => container.created_at > self.since,
        }
    }
}

/// Filters of the same group are alternatives.
const fn group(filter: &Filter) -> u8 {
    match filter {
        Filter::Name(_) | Filter::NameContains(_) => 0,
        Filter::Label(..) => 1,
        Filter::Status(_) => 2,
        Filter::Image(_) => 3,
        Filter::Host(_) => 4,
        Filter::Since(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_key_and_a_value() {
        for (text, filter) in [
            ("name=web", Filter::Name("web".to_owned())),
            ("name~=we", Filter::NameContains("we".to_owned())),
            ("label=a", Filter::Label("a".to_owned(), None)),
            ("label=a=b=c", Filter::Label("a".to_owned(), Some("b=c".to_owned()))),
            ("status=RUNNING", Filter::Status(Status::Running)),
            ("status=exited", Filter::Status(Status::Stopped)),
            ("since=web", Filter::Since("web".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(filter), "{text}");
        }
        for bad in ["", "web", "name=", "nam=web", "ancestor=x"] {
            let rule = bad.parse::<Filter>().expect_err(bad);
            assert!(rule.contains("name~=PART"), "{rule}");
        }
        let rule = "status=up".parse::<Filter>().expect_err("unknown");
        assert!(rule.contains("Running") && rule.contains("Stopped"), "{rule}");
    }

    #[test]
    fn the_service_applies_exact_values_without_alternatives() {
        let filters = |texts: &[&str]| {
            Filters::new(texts.iter().map(|text| text.parse().expect("a filter")).collect())
        };
        let one = filters(&["name=web", "status=running"]);
        assert_eq!(
            one.parameters(),
            [("name", "web".to_owned()), ("status", "Running".to_owned())]
        );
        assert!(one.are_the_services());
        let several = filters(&["name=web", "name~=d", "image=cirros", "label=a"]);
        assert_eq!(several.parameters(), [("image", "cirros".to_owned())]);
        assert!(!several.are_the_services());
    }
}
