//! Names that the service knows, for completion.

use std::collections::BTreeSet;
use std::time::Duration;

use zun_common::api::v1::container::Container;
use zun_common::resource::ResourceKind;
use zun_common::status::Status;

use super::candidates::Kind;
use crate::api::{Client, ListQuery};
use crate::cmd::image::full_name;
use crate::settings::{Flags, settings};

/// How long a user waits for names after pressing the tab key.
const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the names of this kind; none if the service does not answer soon.
pub(super) fn names(kind: Kind) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let found = runtime.block_on(async { tokio::time::timeout(FETCH_TIMEOUT, fetch(kind)).await });
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
        Kind::Container => containers(&api).await?.into_iter().map(|one| one.name).collect(),
        Kind::Image => {
            let (containers, pulled) = tokio::join!(containers(&api), pulled_images(&api));
            // A container in Error may name an image that does not exist.
            let used = containers?.into_iter().filter(|one| one.status != Status::Error);
            let used = used.map(|container| container.image);
            // Only administrators see what hosts have pulled.
            used.chain(pulled.unwrap_or_default()).collect()
        }
        Kind::PulledImage => pulled_images(&api).await?.into_iter().collect(),
        Kind::Volume => resources(&api, ResourceKind::Volume).await?,
        Kind::Network => resources(&api, ResourceKind::Network).await?,
    };
    Some(names.into_iter().collect())
}

async fn containers(api: &Client) -> Option<Vec<Container>> {
    Some(api.list_page(&ListQuery::default(), None).await.ok()?.containers)
}

async fn pulled_images(api: &Client) -> Option<Vec<String>> {
    let images = api.images(&[]).await.ok()?.into_iter();
    Some(images.map(|image| full_name(&image)).collect())
}

async fn resources(api: &Client, kind: ResourceKind) -> Option<BTreeSet<String>> {
    Some(api.resources(kind, &[]).await.ok()?.into_iter().map(|one| one.name).collect())
}
