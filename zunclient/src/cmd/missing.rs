//! What a person probably meant by the name of a container that does not exist.

use std::time::Duration;

use super::{Context, Failure};
use crate::api::ListQuery;
use crate::out::nearest;

/// How long zun looks for similar names.
const SUGGESTION_TIMEOUT: Duration = Duration::from_secs(3);

/// Around the name in the service's message.
const MESSAGE: (&str, &str) = ("Container ", " could not be found.");

/// Adds the most similar name to the message of a failure, if a container was not found and there is a similar one.
pub(super) async fn with_similar_name(context: &Context, failure: Failure) -> Failure {
    let Some(message) = &failure.message else { return failure };
    let Some((before, name, after)) = parts(message) else { return failure };
    let query = ListQuery::default();
    let listing = context.api.list_page(&query, None);
    let Ok(Ok(page)) = tokio::time::timeout(SUGGESTION_TIMEOUT, listing).await else {
        return failure;
    };
    let names = page.containers.iter().map(|container| container.name.as_str());
    let Some(near) = nearest(name, names) else { return failure };
    let (_, end) = MESSAGE;
    let message = format!("{before}{name}{end} Did you mean `{near}`?{after}");
    Failure { message: Some(message), ..failure }
}

/// Returns the name in the message, and what comes before and after it.
fn parts(message: &str) -> Option<(&str, &str, &str)> {
    let (begin, end) = MESSAGE;
    let from = message.find(begin)? + begin.len();
    let (before, rest) = message.split_at_checked(from)?;
    let (name, after) = rest.split_once(end)?;
    Some((before, name, after))
}
