//! A panic in a driver is reported, and ends neither the agent nor the container's worker.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::sync::mpsc;
use zun_common::bus::Bus;
use zun_common::id::{ContainerId, EngineId, ExecId, ProjectId, ResourceId};
use zun_common::ports::ContainerPort;
use zun_common::resource::{NamedNetwork, ResourceKind};
use zun_common::rpc::container::{ContainerSpec, LogRequest, Logs, Stats, Top};
use zun_common::rpc::exec::{ExecOutput, ExecSpec};
use zun_common::rpc::files::{Archive, FileChange};
use zun_common::rpc::image::{FoundImage, PulledImage};
use zun_common::rpc::operation as rpc;
use zun_common::status::Status;
use zun_common::units::{Resources, TerminalSize};
use zun_compute::Agent;
use zun_compute::driver::fake::FakeDriver;
use zun_compute::driver::{
    Attachments, Change, ContainerInfo, DriverError, EngineEvent, EngineInfo, ExecInfo, Files,
    ImageOrigin, Images, Inspect, Lifecycle, ListedContainer, PullProgress, PullRequest, Sessions,
};

use crate::world::World;

/// A driver whose `pause` panics.
struct Defective(FakeDriver);

type Outcome<T> = Result<T, DriverError>;

#[async_trait]
impl Lifecycle for Defective {
    async fn create(&self, id: ContainerId, spec: &ContainerSpec) -> Outcome<(EngineId, Change)> {
        self.0.create(id, spec).await
    }
    async fn start(&self, id: ContainerId) -> Outcome<Change> {
        self.0.start(id).await
    }
    async fn stop(&self, id: ContainerId, grace: Option<Duration>) -> Outcome<Change> {
        self.0.stop(id, grace).await
    }
    async fn restart(&self, id: ContainerId, grace: Option<Duration>) -> Outcome<()> {
        self.0.restart(id, grace).await
    }
    async fn kill(&self, id: ContainerId, signal: &str) -> Outcome<()> {
        self.0.kill(id, signal).await
    }
    async fn pause(&self, _: ContainerId) -> Outcome<Change> {
        panic!("a defect, on purpose")
    }
    async fn unpause(&self, id: ContainerId) -> Outcome<Change> {
        self.0.unpause(id).await
    }
    async fn update(&self, id: ContainerId, resources: Resources) -> Outcome<()> {
        self.0.update(id, resources).await
    }
    async fn remove(&self, id: ContainerId, force: bool) -> Outcome<Change> {
        self.0.remove(id, force).await
    }
    async fn rename_to_old(&self, id: ContainerId, engine: &EngineId) -> Outcome<Change> {
        self.0.rename_to_old(id, engine).await
    }
    async fn stop_old(&self, id: ContainerId, grace: Option<Duration>) -> Outcome<Change> {
        self.0.stop_old(id, grace).await
    }
    async fn start_old(&self, id: ContainerId) -> Outcome<Change> {
        self.0.start_old(id).await
    }
    async fn restore_old(&self, id: ContainerId) -> Outcome<Change> {
        self.0.restore_old(id).await
    }
    async fn remove_old(&self, id: ContainerId) -> Outcome<Change> {
        self.0.remove_old(id).await
    }
}

#[async_trait]
impl Inspect for Defective {
    async fn inspect(&self, id: ContainerId) -> Outcome<ContainerInfo> {
        self.0.inspect(id).await
    }
    async fn inspect_old(&self, id: ContainerId) -> Outcome<ContainerInfo> {
        self.0.inspect_old(id).await
    }
    async fn list_old(&self) -> Outcome<Vec<ContainerId>> {
        self.0.list_old().await
    }
    async fn list(&self) -> Outcome<Vec<ListedContainer>> {
        self.0.list().await
    }
    async fn statuses(&self) -> Outcome<Vec<(ContainerId, Option<Status>)>> {
        self.0.statuses().await
    }
    async fn wait(&self, id: ContainerId) -> Outcome<i64> {
        self.0.wait(id).await
    }
    async fn logs(&self, id: ContainerId, request: &LogRequest) -> Outcome<Logs> {
        self.0.logs(id, request).await
    }
    async fn top(&self, id: ContainerId, ps_args: Option<&str>) -> Outcome<Top> {
        self.0.top(id, ps_args).await
    }
    async fn stats(&self, id: ContainerId) -> Outcome<Stats> {
        self.0.stats(id).await
    }
    async fn events(&self) -> Outcome<BoxStream<'static, EngineEvent>> {
        self.0.events().await
    }
    async fn engine(&self) -> Outcome<EngineInfo> {
        self.0.engine().await
    }
}

#[async_trait]
impl Sessions for Defective {
    async fn resize(&self, id: ContainerId, size: TerminalSize) -> Outcome<()> {
        self.0.resize(id, size).await
    }
    async fn exec_create(&self, id: ContainerId, spec: &ExecSpec) -> Outcome<ExecId> {
        self.0.exec_create(id, spec).await
    }
    async fn exec_run(&self, id: ContainerId, spec: &ExecSpec) -> Outcome<ExecOutput> {
        self.0.exec_run(id, spec).await
    }
    async fn exec_inspect(&self, exec: &ExecId) -> Outcome<ExecInfo> {
        self.0.exec_inspect(exec).await
    }
    async fn exec_signal(&self, exec: &ExecId, signal: &str) -> Outcome<()> {
        self.0.exec_signal(exec, signal).await
    }
    async fn exec_resize(&self, exec: &ExecId, size: TerminalSize) -> Outcome<()> {
        self.0.exec_resize(exec, size).await
    }
}

#[async_trait]
impl Images for Defective {
    async fn image_present(&self, image: &str, platform: Option<&str>) -> Outcome<bool> {
        self.0.image_present(image, platform).await
    }
    async fn image_pull(
        &self,
        request: PullRequest<'_>,
        progress: mpsc::Sender<PullProgress>,
    ) -> Outcome<()> {
        self.0.image_pull(request, progress).await
    }
    async fn image_inspect(&self, image: &str) -> Outcome<PulledImage> {
        self.0.image_inspect(image).await
    }
    async fn image_origin(&self, image: &str) -> Outcome<ImageOrigin> {
        self.0.image_origin(image).await
    }
    async fn image_names(&self) -> Outcome<Vec<String>> {
        self.0.image_names().await
    }
    async fn image_changes(&self) -> Outcome<BoxStream<'static, ()>> {
        self.0.image_changes().await
    }
    async fn image_ports(&self, image: &str) -> Outcome<Vec<ContainerPort>> {
        self.0.image_ports(image).await
    }
    async fn image_remove(&self, image: &str) -> Outcome<Change> {
        self.0.image_remove(image).await
    }
    async fn image_search(&self, term: &str) -> Outcome<Vec<FoundImage>> {
        self.0.image_search(term).await
    }
}

#[async_trait]
impl Attachments for Defective {
    async fn ensure_network(&self, project: &ProjectId, network: &NamedNetwork) -> Outcome<()> {
        self.0.ensure_network(project, network).await
    }
    async fn remove_resource(&self, kind: ResourceKind, id: ResourceId) -> Outcome<Change> {
        self.0.remove_resource(kind, id).await
    }
    async fn put_files(&self, id: ContainerId, files: &[(&str, &[u8])]) -> Outcome<()> {
        self.0.put_files(id, files).await
    }
}

#[async_trait]
impl Files for Defective {
    async fn archive_get(&self, id: ContainerId, path: &str) -> Outcome<Archive> {
        self.0.archive_get(id, path).await
    }
    async fn archive_put(&self, id: ContainerId, path: &str, data: Vec<u8>) -> Outcome<()> {
        self.0.archive_put(id, path, data).await
    }
    async fn changes(&self, id: ContainerId) -> Outcome<Vec<FileChange>> {
        self.0.changes(id).await
    }
    async fn commit(&self, id: ContainerId, name: (&str, &str)) -> Outcome<String> {
        self.0.commit(id, name).await
    }
}

#[tokio::test]
async fn a_panic_in_a_driver_is_reported_and_the_next_command_is_done() {
    let world = World::new().await;
    let bus = Bus::new(Arc::clone(world.bus.transport()), "nobody");
    let driver = Arc::new(Defective(world.engine.clone()));
    let agent =
        Agent::start(world.settings.clone(), bus, driver, &world.tasks).await.expect("an agent");
    world.controller.until_epoch(1).await;
    let container = world.running(&["/bin/sh"]).await;
    world.order(container, rpc::Change::Pause).await;
    let report =
        world.controller.until_report(container, |report| report.status_reason.is_some()).await;
    assert_eq!((report.status, report.task_state), (Status::Running, None));
    world.order(container, rpc::Change::Stop { grace: Some(1) }).await;
    world.controller.until(container, Status::Stopped).await;
    assert!(agent.stop().await);
}
