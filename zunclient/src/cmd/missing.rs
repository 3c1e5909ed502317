//! Suggests a similar name for something that does not exist.

use std::time::Duration;

use zun_common::resource::ResourceKind;

use super::image::full_name;
use super::{Context, Failure};
use crate::api::{ApiError, ListQuery};
use crate::out::nearest;

/// How long zun searches for similar names.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Container,
    Volume,
    Network,
    Host,
    Image,
}

/// What is before the name in the service's message.
const BEGINNINGS: [(&str, Kind); 5] = [
    ("Container ", Kind::Container),
    ("Volume ", Kind::Volume),
    ("Network ", Kind::Network),
    ("Host ", Kind::Host),
    ("Image ", Kind::Image),
];

/// What is after it.
const END: &str = " could not be found.";

/// Adds the most similar name to the message of a failure, if something was not found and there is a similar one.
pub(super) async fn with_similar_name(context: &Context, failure: Failure) -> Failure {
    let Some(message) = &failure.message else { return failure };
    let Some((kind, before, name, after)) = parts(message) else { return failure };
    let listing = tokio::time::timeout(TIMEOUT, names(context, kind));
    let Ok(Ok(names)) = listing.await else { return failure };
    let Some(near) = nearest(name, names.iter().map(String::as_str)) else { return failure };
    let message = format!("{before}{name}{END} Did you mean `{near}`?{after}");
    Failure { message: Some(message), ..failure }
}

async fn names(context: &Context, kind: Kind) -> Result<Vec<String>, ApiError> {
    let api = &context.api;
    let resources = async |kind| -> Result<Vec<String>, ApiError> {
        Ok(api.resources(kind, &[]).await?.into_iter().map(|one| one.name).collect())
    };
    Ok(match kind {
        Kind::Container => {
            let page = api.list_page(&ListQuery::default(), None).await?;
            page.containers.into_iter().map(|container| container.name).collect()
        }
        Kind::Volume => resources(ResourceKind::Volume).await?,
        Kind::Network => resources(ResourceKind::Network).await?,
        Kind::Host => api.hosts().await?.into_iter().map(|host| host.hostname).collect(),
        Kind::Image => api.images(&[]).await?.iter().map(full_name).collect(),
    })
}

/// Returns what the message is about, the name in it, and what comes before and after it.
fn parts(message: &str) -> Option<(Kind, &str, &str, &str)> {
    BEGINNINGS.iter().find_map(|(begin, kind)| {
        let from = message.find(begin)? + begin.len();
        let (before, rest) = message.split_at_checked(from)?;
        let (name, after) = rest.split_once(END)?;
        Some((*kind, before, name, after))
    })
}
