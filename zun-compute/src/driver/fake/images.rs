//! Images of the in-memory engine.

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use zun_common::image_name::ImageName;

use super::FakeDriver;
use super::faults::Operation;
use crate::driver::{DriverError, Images, PullProgress, PullRequest};

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
            Ok(())
        };
        self.shared.faults.perform(Operation::ImagePull, None, work).await
    }
}
