//! Names that the service knows, for completion.

use std::collections::BTreeSet;
use std::time::Duration;

use super::candidates::Kind;
use crate::api::{Client, ListQuery};
use crate::settings::{Flags, settings};

/// How long a user waits for names after pressing the tab key.
const PATIENCE: Duration = Duration::from_secs(2);

/// Returns the names of this kind; none if the service does not answer soon.
pub(super) fn names(kind: Kind) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let found = runtime.block_on(async { tokio::time::timeout(PATIENCE, fetch(kind)).await });
    // A pending DNS lookup must not delay the exit.
    runtime.shutdown_background();
    found.ok().flatten().unwrap_or_default()
}

async fn fetch(kind: Kind) -> Option<Vec<String>> {
    let cloud = std::env::var_os("OS_CLOUD").and_then(|cloud| cloud.into_string().ok());
    let endpoint = std::env::var_os("OS_ENDPOINT").and_then(|text| text.into_string().ok());
    let flags =
        Flags { endpoint: endpoint.as_deref(), cloud: cloud.as_deref(), ..Flags::default() };
    let settings = settings(flags).await.ok()?;
    let api = Client::new(&settings, |_line| {}).ok()?;
    let names: BTreeSet<String> = match kind {
        Kind::Host => api.hosts().await.ok()?.into_iter().map(|host| host.hostname).collect(),
        Kind::Container | Kind::Image => {
            let page = api.list_page(&ListQuery::default(), None).await.ok()?;
            let all = page.containers.into_iter();
            let is_image = kind == Kind::Image;
            all.map(|container| if is_image { container.image } else { container.name }).collect()
        }
    };
    Some(names.into_iter().collect())
}
