//! The engine of a host: the in-memory engine, which is slow, continues when its caller is gone, and keeps a record of
//! what it did.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;
use zun_common::id::{ContainerId, EngineId, ExecId, ProjectId, ResourceId};
use zun_common::ports::ContainerPort;
use zun_common::resource::{NamedNetwork, ResourceKind};
use zun_common::rpc::container::{ContainerSpec, LogRequest, Logs, Stats, Top};
use zun_common::rpc::exec::{ExecOutput, ExecSpec};
use zun_common::rpc::files::{Archive, FileChange};
use zun_common::rpc::image::{FoundImage, PulledImage};
use zun_common::status::Status;
use zun_common::units::{Resources, TerminalSize};
use zun_compute::driver::fake::FakeDriver;
use zun_compute::driver::{
    Attachments, Change, ContainerInfo, DriverError, EngineEvent, EngineInfo, ExecInfo, Files,
    ImageOrigin, Images, Inspect, Lifecycle, ListedContainer, PullProgress, PullRequest, Sessions,
};

use super::executor::{Executor, Process};

/// What an engine did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// When, since the start.
    pub at: Duration,
    /// The container.
    pub container: ContainerId,
    /// What happened to it.
    pub what: What,
}

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// It was created.
    Created,
    /// It was started, by a start or a restart.
    Started,
    /// It got this signal.
    Signalled(String),
    /// It was removed.
    Removed,
    /// It vanished without an event.
    Vanished,
    /// A command ran in it. Each has its own last word.
    Executed(String),
}

/// How long calls take at most, in milliseconds, before and after their effect.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Most calls.
    pub usual: u64,
    /// The slow ones.
    pub slow: u64,
    /// How many of 100 are slow.
    pub percent: u64,
}

impl Pace {
    /// A healthy engine.
    pub const HEALTHY: Self = Self { usual: 40, slow: 400, percent: 5 };
}

/// An engine. Clones share it.
#[derive(Clone)]
pub struct Engine {
    fake: FakeDriver,
    executor: Executor,
    process: Process,
    pace: Arc<Mutex<Pace>>,
    effects: Arc<Mutex<Vec<Effect>>>,
    /// How often it has ended.
    ends: Arc<AtomicU64>,
}

impl Engine {
    /// Creates an engine without containers.
    pub fn new(executor: &Executor) -> Self {
        Self {
            fake: FakeDriver::new(),
            executor: executor.clone(),
            process: executor.process(),
            pace: Arc::new(Mutex::new(Pace::HEALTHY)),
            effects: Arc::default(),
            ends: Arc::default(),
        }
    }

    /// The engine without its delays.
    pub const fn fake(&self) -> &FakeDriver {
        &self.fake
    }

    /// The engine ends. Calls that it has not begun are lost.
    pub fn go_down(&self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
        self.fake.go_down();
    }

    /// Changes how long calls take.
    pub fn set_pace(&self, pace: Pace) {
        *lock(&self.pace) = pace;
    }

    /// Everything that it did.
    pub fn effects(&self) -> Vec<Effect> {
        lock(&self.effects).clone()
    }

    /// Loses a container, without an event.
    pub fn vanish(&self, container: ContainerId) {
        if self.fake.vanish(container) {
            let effect = Effect { at: self.executor.now(), container, what: What::Vanished };
            lock(&self.effects).push(effect);
        }
    }

    fn delay(&self) -> Duration {
        let pace = *lock(&self.pace);
        let mut random = self.executor.random();
        let most = if random.percent(pace.percent) { pace.slow } else { pace.usual };
        random.millis(0..most.max(1))
    }

    /// Makes a call that continues when its caller is gone, as in dockerd.
    async fn call<T: Send + 'static>(
        &self,
        (container, what): (Option<ContainerId>, impl FnOnce(&T) -> Option<What> + Send + 'static),
        call: impl FnOnce(FakeDriver) -> BoxFuture<'static, Result<T, DriverError>> + Send + 'static,
    ) -> Result<T, DriverError> {
        let (answer, answered) = oneshot::channel();
        let engine = self.clone();
        let (before, after) = (self.delay(), self.delay());
        self.executor.spawn(self.process, async move {
            let ends = engine.ends.load(Ordering::Relaxed);
            sleep(before).await;
            if engine.ends.load(Ordering::Relaxed) != ends {
                return;
            }
            let done = call(engine.fake.clone()).await;
            if let (Some(container), Ok(Some(what))) = (container, done.as_ref().map(what)) {
                let at = engine.executor.now();
                lock(&engine.effects).push(Effect { at, container, what });
            }
            sleep(after).await;
            drop(answer.send(done));
        });
        answered.await.unwrap_or_else(|gone| Err(DriverError::down(gone)))
    }
}

/// A call about a container, with what it does.
macro_rules! call {
    ($self:ident, $container:expr, $what:expr, |$fake:ident| $call:expr) => {
        $self.call((Some($container), $what), move |$fake| Box::pin(async move { $call.await }))
    };
}

fn nothing<T>(_: &T) -> Option<What> {
    None
}

#[async_trait]
impl Lifecycle for Engine {
    async fn create(
        &self,
        container: ContainerId,
        spec: &ContainerSpec,
    ) -> Result<(EngineId, Change), DriverError> {
        let spec = spec.clone();
        let what = |(_, change): &(EngineId, Change)| {
            matches!(change, Change::Done).then_some(What::Created)
        };
        call!(self, container, what, |fake| fake.create(container, &spec)).await
    }

    async fn start(&self, container: ContainerId) -> Result<Change, DriverError> {
        let what = |change: &Change| matches!(change, Change::Done).then_some(What::Started);
        call!(self, container, what, |fake| fake.start(container)).await
    }

    async fn stop(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<Change, DriverError> {
        call!(self, container, nothing, |fake| fake.stop(container, grace)).await
    }

    async fn restart(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<(), DriverError> {
        call!(self, container, |()| Some(What::Started), |fake| fake.restart(container, grace))
            .await
    }

    async fn kill(&self, container: ContainerId, signal: &str) -> Result<(), DriverError> {
        let signal = signal.to_owned();
        let sent = What::Signalled(signal.clone());
        call!(self, container, |()| Some(sent), |fake| fake.kill(container, &signal)).await
    }

    async fn pause(&self, container: ContainerId) -> Result<Change, DriverError> {
        call!(self, container, nothing, |fake| fake.pause(container)).await
    }

    async fn unpause(&self, container: ContainerId) -> Result<Change, DriverError> {
        call!(self, container, nothing, |fake| fake.unpause(container)).await
    }

    async fn update(
        &self,
        container: ContainerId,
        resources: Resources,
    ) -> Result<(), DriverError> {
        call!(self, container, nothing, |fake| fake.update(container, resources)).await
    }

    async fn remove(&self, container: ContainerId, force: bool) -> Result<Change, DriverError> {
        let what = |change: &Change| matches!(change, Change::Done).then_some(What::Removed);
        call!(self, container, what, |fake| fake.remove(container, force)).await
    }

    async fn rename_to_old(
        &self,
        container: ContainerId,
        engine: &EngineId,
    ) -> Result<Change, DriverError> {
        let engine = engine.clone();
        call!(self, container, nothing, |fake| fake.rename_to_old(container, &engine)).await
    }

    async fn stop_old(
        &self,
        container: ContainerId,
        grace: Option<Duration>,
    ) -> Result<Change, DriverError> {
        call!(self, container, nothing, |fake| fake.stop_old(container, grace)).await
    }

    async fn start_old(&self, container: ContainerId) -> Result<Change, DriverError> {
        let what = |change: &Change| matches!(change, Change::Done).then_some(What::Started);
        call!(self, container, what, |fake| fake.start_old(container)).await
    }

    async fn restore_old(&self, container: ContainerId) -> Result<Change, DriverError> {
        call!(self, container, nothing, |fake| fake.restore_old(container)).await
    }

    async fn remove_old(&self, container: ContainerId) -> Result<Change, DriverError> {
        let what = |change: &Change| matches!(change, Change::Done).then_some(What::Removed);
        call!(self, container, what, |fake| fake.remove_old(container)).await
    }
}

#[async_trait]
impl Inspect for Engine {
    async fn inspect(&self, container: ContainerId) -> Result<ContainerInfo, DriverError> {
        call!(self, container, nothing, |fake| fake.inspect(container)).await
    }

    async fn inspect_old(&self, container: ContainerId) -> Result<ContainerInfo, DriverError> {
        call!(self, container, nothing, |fake| fake.inspect_old(container)).await
    }

    async fn list_old(&self) -> Result<Vec<ContainerId>, DriverError> {
        self.call((None, nothing), |fake| Box::pin(async move { fake.list_old().await })).await
    }

    async fn list(&self) -> Result<Vec<ListedContainer>, DriverError> {
        self.call((None, nothing), |fake| Box::pin(async move { fake.list().await })).await
    }

    async fn statuses(&self) -> Result<Vec<(ContainerId, Option<Status>)>, DriverError> {
        self.call((None, nothing), |fake| Box::pin(async move { fake.statuses().await })).await
    }

    async fn wait(&self, container: ContainerId) -> Result<i64, DriverError> {
        call!(self, container, nothing, |fake| fake.wait(container)).await
    }

    async fn logs(
        &self,
        container: ContainerId,
        request: &LogRequest,
    ) -> Result<Logs, DriverError> {
        self.fake.logs(container, request).await
    }

    async fn top(&self, container: ContainerId, ps_args: Option<&str>) -> Result<Top, DriverError> {
        self.fake.top(container, ps_args).await
    }

    async fn stats(&self, container: ContainerId) -> Result<Stats, DriverError> {
        self.fake.stats(container).await
    }

    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>, DriverError> {
        self.call((None, nothing), |fake| Box::pin(async move { fake.events().await })).await
    }

    async fn engine(&self) -> Result<EngineInfo, DriverError> {
        self.call((None, nothing), |fake| Box::pin(async move { fake.engine().await })).await
    }
}

#[async_trait]
impl Sessions for Engine {
    async fn resize(&self, container: ContainerId, size: TerminalSize) -> Result<(), DriverError> {
        self.fake.resize(container, size).await
    }

    async fn exec_create(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecId, DriverError> {
        self.fake.exec_create(container, spec).await
    }

    async fn exec_run(
        &self,
        container: ContainerId,
        spec: &ExecSpec,
    ) -> Result<ExecOutput, DriverError> {
        let spec = spec.clone();
        let ran = What::Executed(spec.command.last().cloned().unwrap_or_default());
        let what = |_: &ExecOutput| Some(ran);
        call!(self, container, what, |fake| fake.exec_run(container, &spec)).await
    }

    async fn exec_inspect(&self, exec: &ExecId) -> Result<ExecInfo, DriverError> {
        self.fake.exec_inspect(exec).await
    }

    async fn exec_signal(&self, exec: &ExecId, signal: &str) -> Result<(), DriverError> {
        self.fake.exec_signal(exec, signal).await
    }

    async fn exec_resize(&self, exec: &ExecId, size: TerminalSize) -> Result<(), DriverError> {
        self.fake.exec_resize(exec, size).await
    }
}

#[async_trait]
impl Images for Engine {
    async fn image_present(
        &self,
        image: &str,
        platform: Option<&str>,
    ) -> Result<bool, DriverError> {
        let (image, platform) = (image.to_owned(), platform.map(str::to_owned));
        self.call((None, nothing), |fake| {
            Box::pin(async move { fake.image_present(&image, platform.as_deref()).await })
        })
        .await
    }

    async fn image_pull(
        &self,
        request: PullRequest<'_>,
        progress: mpsc::Sender<PullProgress>,
    ) -> Result<(), DriverError> {
        let PullRequest { image, platform, login } = request;
        let (image, platform) = (image.to_owned(), platform.map(str::to_owned));
        let login = login.cloned();
        self.call((None, nothing), |fake| {
            Box::pin(async move {
                let (platform, login) = (platform.as_deref(), login.as_ref());
                fake.image_pull(PullRequest { image: &image, platform, login }, progress).await
            })
        })
        .await
    }

    async fn image_inspect(&self, image: &str) -> Result<PulledImage, DriverError> {
        self.fake.image_inspect(image).await
    }

    async fn image_origin(&self, image: &str) -> Result<ImageOrigin, DriverError> {
        self.fake.image_origin(image).await
    }

    async fn image_names(&self) -> Result<Vec<String>, DriverError> {
        self.fake.image_names().await
    }

    async fn image_changes(&self) -> Result<BoxStream<'static, ()>, DriverError> {
        self.fake.image_changes().await
    }

    async fn image_ports(&self, image: &str) -> Result<Vec<ContainerPort>, DriverError> {
        self.fake.image_ports(image).await
    }

    async fn image_remove(&self, image: &str) -> Result<Change, DriverError> {
        self.fake.image_remove(image).await
    }

    async fn image_search(&self, term: &str) -> Result<Vec<FoundImage>, DriverError> {
        self.fake.image_search(term).await
    }
}

#[async_trait]
impl Attachments for Engine {
    async fn ensure_network(
        &self,
        project: &ProjectId,
        network: &NamedNetwork,
    ) -> Result<(), DriverError> {
        self.fake.ensure_network(project, network).await
    }

    async fn remove_resource(
        &self,
        kind: ResourceKind,
        id: ResourceId,
    ) -> Result<Change, DriverError> {
        self.fake.remove_resource(kind, id).await
    }

    async fn put_files(
        &self,
        container: ContainerId,
        files: &[(&str, &[u8])],
    ) -> Result<(), DriverError> {
        self.fake.put_files(container, files).await
    }
}

#[async_trait]
impl Files for Engine {
    async fn archive_get(
        &self,
        container: ContainerId,
        path: &str,
    ) -> Result<Archive, DriverError> {
        let path = path.to_owned();
        call!(self, container, nothing, |fake| fake.archive_get(container, &path)).await
    }

    async fn archive_put(
        &self,
        container: ContainerId,
        path: &str,
        data: Vec<u8>,
    ) -> Result<(), DriverError> {
        let path = path.to_owned();
        call!(self, container, nothing, |fake| fake.archive_put(container, &path, data)).await
    }

    async fn changes(&self, container: ContainerId) -> Result<Vec<FileChange>, DriverError> {
        call!(self, container, nothing, |fake| fake.changes(container)).await
    }

    async fn commit(
        &self,
        container: ContainerId,
        (repository, tag): (&str, &str),
    ) -> Result<String, DriverError> {
        let (repository, tag) = (repository.to_owned(), tag.to_owned());
        call!(self, container, nothing, |fake| fake.commit(container, (&repository, &tag))).await
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
