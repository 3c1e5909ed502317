//! The filters of `zun list`.

use std::str::FromStr;

use chrono::NaiveDateTime;
use zun_common::api::v1::container::Container;
use zun_common::image_name::ImageName;
use zun_common::status::{Health, Status};

use crate::api::{ApiError, Client};

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
    /// The ID begins with this text.
    Id(String),
    /// The last exit code is this one.
    Exited(i64),
    /// The health check says this.
    Health(Option<Health>),
    /// The host is this one.
    Host(String),
    /// It was created after this container.
    Since(String),
    /// It was created before this container.
    Before(String),
}

/// The filters, for messages.
const KEYS: &str = "name=NAME, name~=PART, id=PREFIX, label=KEY[=VALUE], status=STATUS, exited=CODE, health=HEALTH, image=IMAGE, \
                    host=HOST, since=CONTAINER or before=CONTAINER";

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
            // The second one is Docker's.
            "image" | "ancestor" => Self::Image(value),
            "id" => Self::Id(value.to_lowercase()),
            "exited" => Self::Exited(
                value.parse().map_err(|_not_a_number| "use an exit code, such as exited=137")?,
            ),
            "health" => Self::Health(health(&value)?),
            "host" => Self::Host(value),
            "since" => Self::Since(value),
            "before" => Self::Before(value),
            _ => return Err(unknown()),
        })
    }
}

/// Parses what a health check says, in Docker's words. `None` is a container without a check.
fn health(text: &str) -> Result<Option<Health>, String> {
    if text.eq_ignore_ascii_case("none") {
        return Ok(None);
    }
    let all = [Health::Starting, Health::Healthy, Health::Unhealthy];
    let found = all.into_iter().find(|health| text.eq_ignore_ascii_case(&health.to_string()));
    found.map(Some).ok_or_else(|| {
        format!("`{text}` is not a health; use one of starting, healthy, unhealthy, none")
    })
}

/// Docker's words for statuses that have another one here.
const DOCKERS: [(&str, Status); 2] = [("exited", Status::Stopped), ("removing", Status::Deleting)];

/// Parses a status. Case does not matter, and Docker's words are known.
pub(super) fn status(text: &str) -> Result<Status, String> {
    let dockers = DOCKERS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
    if let Some((_, status)) = dockers {
        return Ok(*status);
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
    all: Vec<Filter>,
    /// When the containers of `since` and `before` were created.
    since: Option<NaiveDateTime>,
    before: Option<NaiveDateTime>,
}

impl Filters {
    pub(super) fn new(filters: Vec<Filter>) -> Self {
        Self { all: filters, since: None, before: None }
    }

    /// Reads when the containers of `since` and `before` were created.
    pub(super) async fn read_times(&mut self, api: &Client) -> Result<(), ApiError> {
        for filter in &self.all {
            if let Filter::Since(container) = filter {
                self.since = api.show(container).await?.created_at;
            }
            if let Filter::Before(container) = filter {
                self.before = api.show(container).await?.created_at;
            }
        }
        Ok(())
    }

    /// Returns the query parameters of those that the service can apply: exact values without alternatives.
    pub(super) fn parameters(&self) -> Vec<(&'static str, String)> {
        let parameters = self.all.iter().filter_map(|filter| {
            let parameter = match filter {
                Filter::Name(name) => ("name", name.clone()),
                Filter::Status(status) => ("status", status.to_string()),
                Filter::Host(host) => ("host", host.clone()),
                // The service compares the text, and an image has several names.
                Filter::Image(_)
                | Filter::NameContains(_)
                | Filter::Label(..)
                | Filter::Id(_)
                | Filter::Exited(_)
                | Filter::Health(_)
                | Filter::Since(_)
                | Filter::Before(_) => return None,
            };
            (self.alternatives(filter).count() == 1).then_some(parameter)
        });
        parameters.collect()
    }

    /// Whether the service applies all of them.
    pub(super) fn are_the_services(&self) -> bool {
        self.parameters().len() == self.all.len()
    }

    /// The filters of which one must match, for this one.
    fn alternatives(&self, filter: &Filter) -> impl Iterator<Item = &Filter> {
        let group = group(filter);
        let is_label = matches!(filter, Filter::Label(..));
        let same = move |other: &&Filter| !is_label && group == self::group(other);
        self.all.iter().filter(same)
    }

    /// Whether a list shows the container.
    pub(super) fn match_container(&self, container: &Container) -> bool {
        self.all.iter().all(|filter| {
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
            Filter::Image(image) => is_same_image(&container.image, image),
            Filter::Host(host) => {
                container.host.as_ref().is_some_and(|held| held.to_string() == *host)
            }
            Filter::Id(beginning) => container.uuid.to_string().starts_with(beginning.as_str()),
            Filter::Exited(code) => {
                container.status == Status::Stopped && container.exit_code == Some(*code)
            }
            Filter::Health(health) => container.health == *health,
            Filter::Since(_) => container.created_at > self.since,
            Filter::Before(_) => container.created_at < self.before,
        }
    }
}

/// Whether two names are those of the same image: `cirros` is `docker.io/library/cirros:latest`.
fn is_same_image(one: &str, other: &str) -> bool {
    let parsed = |text: &str| text.parse::<ImageName>().ok();
    one == other || parsed(one).is_some_and(|name| parsed(other) == Some(name))
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
        Filter::Before(_) => 6,
        Filter::Id(_) => 7,
        Filter::Exited(_) => 8,
        Filter::Health(_) => 9,
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
            ("status=removing", Filter::Status(Status::Deleting)),
            ("since=web", Filter::Since("web".to_owned())),
            ("before=web", Filter::Before("web".to_owned())),
            ("ancestor=cirros", Filter::Image("cirros".to_owned())),
            ("id=1B06", Filter::Id("1b06".to_owned())),
            ("exited=137", Filter::Exited(137)),
            ("health=Healthy", Filter::Health(Some(Health::Healthy))),
            ("health=none", Filter::Health(None)),
        ] {
            assert_eq!(text.parse(), Ok(filter), "{text}");
        }
        for bad in ["", "web", "name=", "nam=web", "publish=80"] {
            let rule = bad.parse::<Filter>().expect_err(bad);
            assert!(rule.contains("name~=PART"), "{rule}");
        }
        for (bad, words) in [("exited=x", "exited=137"), ("health=good", "unhealthy")] {
            let rule = bad.parse::<Filter>().expect_err(bad);
            assert!(rule.contains(words), "{rule}");
        }
        let rule = "status=up".parse::<Filter>().expect_err("unknown");
        assert!(rule.contains("Running") && rule.contains("Stopped"), "{rule}");
    }

    #[test]
    fn an_image_has_several_names() {
        for (one, other, same) in [
            ("cirros", "cirros:latest", true),
            ("cirros", "docker.io/library/cirros", true),
            ("index.docker.io/team/app:1", "team/app:1", true),
            ("cirros", "cirros:1", false),
            ("cirros", "registry:5000/cirros", false),
            ("not an image", "not an image", true),
            ("not an image", "cirros", false),
        ] {
            assert_eq!(is_same_image(one, other), same, "{one} {other}");
        }
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
        let several = filters(&["name=web", "name~=d", "host=h1", "label=a"]);
        assert_eq!(several.parameters(), [("host", "h1".to_owned())]);
        assert!(!several.are_the_services());
    }
}
