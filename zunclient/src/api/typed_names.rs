//! The names by which the user called containers. The service's messages have UUIDs instead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use zun_common::id::ContainerId;

/// What is before the UUID in a message.
const BEFORE: &str = "ontainer ";
/// The length of a UUID.
const LENGTH: usize = 36;

/// The names that were given for containers. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct TypedNames(Arc<Mutex<HashMap<ContainerId, String>>>);

impl TypedNames {
    /// Remembers that the user called this container so. A UUID is no name.
    pub(super) fn remember(&self, id: ContainerId, typed: &str) {
        if !is_id(typed) {
            let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            names.insert(id, typed.to_owned());
        }
    }

    /// Replaces the UUID of a container in the answer to a request to this address with the name that the user gave.
    pub(super) fn put_in(&self, message: &str, address: &Url) -> String {
        let Some((before, id, after)) = parts(message) else { return message.to_owned() };
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let in_address = || called(address).filter(|name| !is_id(name));
        match names.get(&id).map(String::as_str).or_else(in_address) {
            Some(name) => format!("{before}{name}{after}"),
            None => message.to_owned(),
        }
    }
}

/// Splits a message at the UUID of a container.
fn parts(message: &str) -> Option<(&str, ContainerId, &str)> {
    let from = message.find(BEFORE)? + BEFORE.len();
    let (before, rest) = message.split_at_checked(from)?;
    let (id, after) = rest.split_at_checked(LENGTH)?;
    Some((before, id.parse().ok()?, after))
}

fn is_id(text: &str) -> bool {
    text.parse::<ContainerId>().is_ok()
}

/// The name or ID of the container in the address of a request about it.
fn called(address: &Url) -> Option<&str> {
    let mut segments = address.path_segments()?.skip_while(|segment| *segment != "containers");
    segments.next()?;
    segments.next().filter(|name| !name.is_empty() && !name.contains('%'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5bb9ee06-1b6a-4a38-b0b9-c8b651638bd6";

    #[test]
    fn a_container_has_the_name_that_the_user_gave() {
        let names = TypedNames::default();
        let message = format!("Cannot kill container {ID} in Stopped state");
        let put = |message: &str, path: &str| {
            let address = format!("http://zun:9517/v1/containers/{path}").parse().expect("a URL");
            names.put_in(message, &address)
        };
        assert_eq!(put(&message, "web/kill"), "Cannot kill container web in Stopped state");
        assert_eq!(put(&message, &format!("{ID}/kill")), message);
        let id = ID.parse().expect("a UUID");
        names.remember(id, ID);
        assert_eq!(put(&message, &format!("{ID}/kill")), message);
        names.remember(id, "5bb9");
        let expected = "Cannot kill container 5bb9 in Stopped state";
        assert_eq!(put(&message, &format!("{ID}/kill")), expected);
        for other in ["Container web could not be found.", "no container", "Container ä"] {
            assert_eq!(put(other, "web"), other);
        }
        let missing = format!("Container {ID} could not be found.");
        assert_eq!(put(&missing, ID), "Container 5bb9 could not be found.");
    }
}
