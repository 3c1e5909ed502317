//! Inspects, pulls, removes and searches images.

use std::time::Duration;

use async_trait::async_trait;
use bollard::auth::DockerCredentials;
use bollard::models::{CreateImageInfo, ImageInspect, ImageSearchResponseItem, ProgressDetail};
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptions, RemoveImageOptions, SearchImagesOptionsBuilder,
};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use zun_common::image_name::{DOCKER_IO, ImageName, registry_domain};
use zun_common::ports::ContainerPort;
use zun_common::rpc::image::{FoundImage, PulledImage};
use zun_common::rpc::registry::RegistryLogin;

use super::deadline::{QUICK, SLOW, within};
use super::errors::RequestFailure;
use super::{DockerDriver, LABEL_PROJECT};
use crate::driver::{Change, DriverError, ImageOrigin, Images, PullProgress, PullRequest};

const DOING: &str = "pull the image";
/// How long a pull may report no progress before it counts as failed.
const LONGEST_SILENCE: Duration = Duration::from_mins(5);

#[async_trait]
impl Images for DockerDriver {
    async fn image_present(
        &self,
        image: &str,
        platform: Option<&str>,
    ) -> Result<bool, DriverError> {
        let name: ImageName = image.parse()?;
        let api = self.api().await?;
        match within(QUICK, api.docker.inspect_image(&name.to_string())).await {
            Ok(shown) => Ok(platform.is_none_or(|platform| is_for(&shown, platform))),
            Err(failure) if failure.is(404) => Ok(false),
            Err(failure) => Err(failure.about("inspect the image")),
        }
    }

    async fn image_pull(
        &self,
        request: PullRequest<'_>,
        progress: mpsc::Sender<PullProgress>,
    ) -> Result<(), DriverError> {
        let PullRequest { image, platform, login } = request;
        let name: ImageName = image.parse()?;
        let credentials = login.map(|login| credentials(&name, login)).transpose()?;
        let api = self.api().await?;
        let options = CreateImageOptionsBuilder::default()
            .from_image(&name.repository)
            .tag(name.version.as_str())
            .platform(platform.unwrap_or_default())
            .build();
        let mut lines = api.docker.create_image(Some(options), None, credentials);
        while let Some(line) = tokio::time::timeout(LONGEST_SILENCE, lines.next())
            .await
            .map_err(|_elapsed| RequestFailure::TimedOut(LONGEST_SILENCE).about(DOING))?
        {
            let line = line.map_err(|error| refused(&name, error.into()))?;
            if let Err(TrySendError::Full(dropped)) = progress.try_send(step(&name, line)) {
                tracing::trace!(layer = dropped.layer, "dropped the progress of a pull");
            }
        }
        // A lost link may look like the end of the stream.
        if self.image_present(image, platform).await? {
            Ok(())
        } else {
            let words = "the pull ended, but the image is missing".to_owned();
            Err(DriverError::Engine { doing: DOING, words })
        }
    }

    async fn image_inspect(&self, image: &str) -> Result<PulledImage, DriverError> {
        let name: ImageName = image.parse()?;
        let api = self.api().await?;
        match within(QUICK, api.docker.inspect_image(&name.to_string())).await {
            Ok(shown) => Ok(PulledImage {
                id: shown.id.unwrap_or_default(),
                size: shown.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
            }),
            Err(failure) if failure.is(404) => Err(DriverError::NoImage(name.to_string())),
            Err(failure) => Err(failure.about("inspect the image")),
        }
    }

    async fn image_origin(&self, image: &str) -> Result<ImageOrigin, DriverError> {
        let name: ImageName = image.parse()?;
        let api = self.api().await?;
        let shown = match within(QUICK, api.docker.inspect_image(&name.to_string())).await {
            Ok(shown) => shown,
            Err(failure) if failure.is(404) => return Err(DriverError::NoImage(name.to_string())),
            Err(failure) => return Err(failure.about("inspect the image")),
        };
        // A commit copies the labels of the container.
        let mut labels = shown.config.and_then(|config| config.labels).unwrap_or_default();
        let names = [shown.repo_tags, shown.repo_digests].into_iter().flatten().flatten();
        Ok(ImageOrigin { project: labels.remove(LABEL_PROJECT), names: names.collect() })
    }

    async fn image_names(&self) -> Result<Vec<String>, DriverError> {
        let api = self.api().await?;
        let images = within(QUICK, api.docker.list_images(None::<ListImagesOptions>)).await;
        let images = images.map_err(|failure| failure.about("list the images"))?;
        Ok(images.into_iter().flat_map(|image| image.repo_tags).collect())
    }

    async fn image_changes(&self) -> Result<BoxStream<'static, ()>, DriverError> {
        self.subscribe_to_images().await
    }

    async fn image_ports(&self, image: &str) -> Result<Vec<ContainerPort>, DriverError> {
        let name: ImageName = image.parse()?;
        let api = self.api().await?;
        match within(QUICK, api.docker.inspect_image(&name.to_string())).await {
            Ok(shown) => Ok(ports(&shown)),
            Err(failure) if failure.is(404) => Err(DriverError::NoImage(name.to_string())),
            Err(failure) => Err(failure.about("inspect the image")),
        }
    }

    async fn image_remove(&self, image: &str) -> Result<Change, DriverError> {
        // Docker has no image of an invalid name.
        let Ok(name) = image.parse::<ImageName>() else { return Ok(Change::Already) };
        let api = self.api().await?;
        let text = name.to_string();
        let removing = api.docker.remove_image(&text, None::<RemoveImageOptions>, None);
        match within(SLOW, removing).await {
            Ok(_removed) => Ok(Change::Done),
            Err(failure) if failure.is(404) => Ok(Change::Already),
            Err(failure) => Err(failure.about("remove the image")),
        }
    }

    async fn image_search(&self, term: &str) -> Result<Vec<FoundImage>, DriverError> {
        let api = self.api().await?;
        let options = SearchImagesOptionsBuilder::default().term(term).limit(MOST_FOUND).build();
        let found = within(SLOW, api.docker.search_images(options)).await;
        let found = found.map_err(|failure| failure.about("search images"))?;
        let image = |item: ImageSearchResponseItem| FoundImage {
            name: item.name.unwrap_or_default(),
            description: item.description.unwrap_or_default(),
            star_count: item.star_count.unwrap_or_default(),
            is_official: item.is_official.unwrap_or_default(),
        };
        Ok(found.into_iter().map(image).collect())
    }
}

/// The ports that an image exposes. Docker shows ranges one by one.
fn ports(shown: &ImageInspect) -> Vec<ContainerPort> {
    let exposed = shown.config.as_ref().and_then(|config| config.exposed_ports.as_ref());
    exposed.into_iter().flatten().filter_map(|port| port.parse().ok()).collect()
}

/// Images in the result of a search.
const MOST_FOUND: i32 = 25;

/// What Docker names its own registry in credentials.
const DOCKER_IO_SERVER: &str = "https://index.docker.io/v1/";

/// Converts a login. It goes to its own registry and to no other.
fn credentials(name: &ImageName, login: &RegistryLogin) -> Result<DockerCredentials, DriverError> {
    let RegistryLogin { domain, username, password } = login;
    if name.domain() != registry_domain(domain) {
        let words = format!("the login for the registry {domain} cannot pull the image {name}");
        return Err(DriverError::Invalid { words });
    }
    let server = if name.domain() == DOCKER_IO { DOCKER_IO_SERVER } else { domain };
    Ok(DockerCredentials {
        username: Some(username.clone()),
        password: Some(password.expose().clone()),
        serveraddress: Some(server.to_owned()),
        ..DockerCredentials::default()
    })
}

/// Parts of messages with which registries, and Docker for them, refuse access.
const NO_ACCESS: [&str; 4] =
    ["denied", "unauthorized", "no basic auth credentials", "authentication required"];

/// Whether an image is for a platform, `OS/ARCHITECTURE[/VARIANT]`.
fn is_for(shown: &ImageInspect, platform: &str) -> bool {
    let mut parts = platform.split('/');
    let mut is_next =
        |shown: Option<&String>| parts.next().is_none_or(|part| shown.is_some_and(|it| it == part));
    is_next(shown.os.as_ref())
        && is_next(shown.architecture.as_ref())
        && is_next(shown.variant.as_ref())
}

fn step(name: &ImageName, line: CreateImageInfo) -> PullProgress {
    let bytes = line.progress_detail.and_then(|ProgressDetail { current, total }| {
        Some((u64::try_from(current?).ok()?, u64::try_from(total?).ok()?))
    });
    PullProgress {
        layer: line.id.unwrap_or_else(|| name.to_string()),
        state: line.status.unwrap_or_default(),
        bytes,
    }
}

/// Converts the failure of a pull: the registry does not have the image, or something else failed.
fn refused(name: &ImageName, failure: RequestFailure) -> DriverError {
    let words = match &failure {
        // The image may exist and need a login, so this comes first.
        RequestFailure::Refused { words, .. } | RequestFailure::Unexpected(words)
            if NO_ACCESS.iter().any(|part| words.contains(part)) =>
        {
            return DriverError::Unauthorized {
                image: name.to_string(),
                domain: name.domain().to_owned(),
                words: words.clone(),
            };
        }
        RequestFailure::Refused { status: 404, .. } => {
            return DriverError::NoImage(name.to_string());
        }
        RequestFailure::Refused { words, .. } | RequestFailure::Unexpected(words) => words,
        RequestFailure::Unreachable(_) | RequestFailure::TimedOut(_) => {
            return failure.about(DOING);
        }
    };
    let missing = ["manifest unknown", "repository does not exist", "name unknown"];
    if missing.iter().any(|part| words.contains(part))
        || (words.starts_with("manifest for") && words.contains("not found"))
    {
        return DriverError::NoImage(name.to_string());
    }
    failure.about(DOING)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_goes_to_no_other_registry() {
        let login = RegistryLogin {
            domain: "127.0.0.1:5000".to_owned(),
            username: "ann".to_owned(),
            password: zun_common::secret::Secret::new("x".to_owned()),
        };
        let given = |image: &str| credentials(&image.parse().expect("a name"), &login);
        assert!(given("127.0.0.1:5000/x").is_ok());
        for other in ["x", "127.0.0.1/x", "127.0.0.1:5001/x"] {
            assert!(matches!(given(other), Err(DriverError::Invalid { .. })), "{other}");
        }
    }

    #[test]
    fn a_missing_image_differs_from_a_registry_that_does_not_answer() {
        let name: ImageName = "127.0.0.1:5000/x".parse().expect("a name");
        let meaning = |status, words: &str| {
            refused(&name, RequestFailure::Refused { status, words: words.to_owned() })
        };
        assert!(matches!(meaning(404, "no such thing"), DriverError::NoImage(_)));
        let denied = meaning(404, "pull access denied for x, repository does not exist or …");
        let words = denied.to_string();
        assert!(words.contains("127.0.0.1:5000 refused access (pull access denied"), "{words}");
        assert!(words.contains("log in with `zun login 127.0.0.1:5000`"), "{words}");
        let anonymous = meaning(500, "Head http://127.0.0.1:5000/v2/: no basic auth credentials");
        assert!(matches!(anonymous, DriverError::Unauthorized { .. }));
        let unknown = "manifest for 127.0.0.1:5000/x:latest not found: manifest unknown";
        assert!(matches!(meaning(500, unknown), DriverError::NoImage(_)));
        let nobody = "Get http://127.0.0.1:5000/v2/: dial tcp: connect: connection refused";
        assert!(matches!(meaning(500, nobody), DriverError::Engine { .. }));
        let nowhere = "dial tcp: lookup registry-1.docker.io: no such host";
        assert!(matches!(meaning(500, nowhere), DriverError::Engine { .. }));
    }
}
