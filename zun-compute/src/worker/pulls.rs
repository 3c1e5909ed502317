//! Pulls in progress. Operations that need the same image with the same login at the same time share one pull. A pull
//! is cancelled when none of them still waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::{mpsc, watch};
use zun_common::api::v1::container::ImagePull;
use zun_common::id::RegistryId;
use zun_common::rpc::registry::RegistryLogin;

use super::pull_progress::Progress;
use crate::driver::{ContainerDriver, DriverError, PullRequest};
use crate::host::within;

/// Maximum number of progress messages of a pull that wait. Further ones are dropped.
const STEPS: usize = 256;

/// What is pulled, and with which login.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) image: String,
    pub(crate) platform: Option<String>,
    pub(crate) registry: Option<RegistryId>,
}

type Outcome = Result<(), DriverError>;
type Pulling = Shared<BoxFuture<'static, Outcome>>;
type Waiting = WeakShared<BoxFuture<'static, Outcome>>;

/// A pull that several operations may wait for.
#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) done: Pulling,
    /// The newest progress.
    pub(crate) progress: watch::Receiver<ImagePull>,
}

/// The pulls of a host.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<HashMap<Wanted, (Waiting, watch::Receiver<ImagePull>)>>);

impl Pulls {
    /// Joins the pull of this image, or begins one. Nothing happens until the result is awaited.
    pub(crate) fn join(
        &self,
        driver: &Arc<dyn ContainerDriver>,
        wanted: Wanted,
        (login, limit): (Option<RegistryLogin>, Duration),
    ) -> Pull {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, (waiting, _)| waiting.upgrade().is_some());
        if let Some((waiting, progress)) = all.get(&wanted)
            && let Some(done) = waiting.upgrade()
        {
            return Pull { done, progress: progress.clone() };
        }
        let (sender, progress) = watch::channel(ImagePull::default());
        let pulling = pull(Arc::clone(driver), wanted.clone(), (login, limit), sender);
        let done = pulling.boxed().shared();
        if let Some(waiting) = done.downgrade() {
            all.insert(wanted, (waiting, progress.clone()));
        }
        Pull { done, progress }
    }
}

async fn pull(
    driver: Arc<dyn ContainerDriver>,
    wanted: Wanted,
    (login, limit): (Option<RegistryLogin>, Duration),
    shown: watch::Sender<ImagePull>,
) -> Outcome {
    let Wanted { image, platform, registry: _ } = &wanted;
    let (progress, mut steps) = mpsc::channel(STEPS);
    let request = PullRequest { image, platform: platform.as_deref(), login: login.as_ref() };
    let pulling = within(limit, "pull the image", driver.image_pull(request, progress));
    let drained = async {
        let mut progress = Progress::new();
        while let Some(step) = steps.recv().await {
            if let Some(pull) = progress.take(step) {
                shown.send_replace(pull);
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        pulled = pulling => pulled,
        () = drained => Ok(()),
    }
}
