//! Images of the in-memory engine.

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use zun_common::image_name::ImageName;
use zun_common::ports::ContainerPort;
use zun_common::rpc::image::{FoundImage, PulledImage};

use super::FakeDriver;
use super::faults::Operation;
use crate::driver::{Change, DriverError, ImageOrigin, Images, PullProgress, PullRequest};

#[async_trait]
impl Images for FakeDriver {
    async fn image_present(
        &self,
        image: &str,
        _platform: Option<&str>,
    ) -> Result<bool, DriverError> {
        let work = async {
            let name: ImageName = image.parse()?;
            Ok(self.shared.state().images.contains(&name.to_string()))
        };
        self.shared.faults.perform(Operation::ImagePresent, None, work).await
    }

    async fn image_pull(
        &self,
        request: PullRequest<'_>,
        progress: mpsc::Sender<PullProgress>,
    ) -> Result<(), DriverError> {
        let work = async {
            let name = request.image.parse::<ImageName>()?.to_string();
            let offered = self.shared.state().registry.get(&name).cloned();
            let Some(steps) = offered else { return Err(DriverError::NoImage(name)) };
            for step in steps {
                if let Err(TrySendError::Full(_)) = progress.try_send(step) {
                    tracing::trace!("dropped the progress of a pull");
                }
            }
            self.shared.state().images.insert(name);
            self.shared.image_changes.send_replace(());
            Ok(())
        };
        self.shared.faults.perform(Operation::ImagePull, None, work).await
    }

    async fn image_inspect(&self, image: &str) -> Result<PulledImage, DriverError> {
        if self.image_present(image, None).await? {
            return Ok(PulledImage { id: format!("sha256:{}", "0".repeat(64)), size: 1 << 20 });
        }
        Err(DriverError::NoImage(image.parse::<ImageName>()?.to_string()))
    }

    async fn image_origin(&self, image: &str) -> Result<ImageOrigin, DriverError> {
        let name = image.parse::<ImageName>()?.to_string();
        let state = self.shared.state();
        if !state.images.contains(&name) {
            return Err(DriverError::NoImage(name));
        }
        let project = state.committed.get(&name).map(ToString::to_string);
        Ok(ImageOrigin { project, names: vec![name] })
    }

    async fn image_names(&self) -> Result<Vec<String>, DriverError> {
        let work = async { Ok(self.shared.state().images.iter().cloned().collect()) };
        self.shared.faults.perform(Operation::ImageNames, None, work).await
    }

    async fn image_changes(&self) -> Result<BoxStream<'static, ()>, DriverError> {
        let work = async {
            let changes = self.shared.image_changes.subscribe();
            Ok(stream::unfold(changes, |mut changes| async {
                changes.changed().await.ok()?;
                Some(((), changes))
            })
            .boxed())
        };
        self.shared.faults.perform(Operation::ImageChanges, None, work).await
    }

    async fn image_ports(&self, image: &str) -> Result<Vec<ContainerPort>, DriverError> {
        let work = async {
            let name = image.parse::<ImageName>()?.to_string();
            Ok(self.shared.state().image_ports.get(&name).cloned().unwrap_or_default())
        };
        self.shared.faults.perform(Operation::ImagePorts, None, work).await
    }

    async fn image_remove(&self, image: &str) -> Result<Change, DriverError> {
        let work = async {
            let Ok(name) = image.parse::<ImageName>() else { return Ok(Change::Already) };
            let name = name.to_string();
            let mut state = self.shared.state();
            let is_used = state.containers.values().any(|container| {
                container.spec.image.parse::<ImageName>().is_ok_and(|own| own.to_string() == name)
            });
            if is_used {
                let words = format!("the image {name} is used by a container");
                return Err(DriverError::Conflict { words });
            }
            let is_removed = state.images.remove(&name);
            self.shared.image_changes.send_replace(());
            Ok(if is_removed { Change::Done } else { Change::Already })
        };
        self.shared.faults.perform(Operation::ImageRemove, None, work).await
    }

    async fn image_search(&self, term: &str) -> Result<Vec<FoundImage>, DriverError> {
        let state = self.shared.state();
        let found = state.registry.keys().filter(|name| name.contains(term));
        let image = |name: &String| FoundImage {
            name: name.clone(),
            description: String::new(),
            star_count: 0,
            is_official: false,
        };
        Ok(found.map(image).collect())
    }
}
