//! A scripted zun-api that records messages and answers calls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use zun_common::bus::{Bus, Incoming, Route, Router};
use zun_common::id::ContainerId;
use zun_common::rpc::host::{Assigned, AssignedContainer, AssignedContainers, Heartbeat};
use zun_common::rpc::report::{ContainerReport, UnknownContainer};
use zun_common::rpc::{Done, Problem};
use zun_common::shutdown::Tasks;
use zun_common::status::Status;

#[derive(Debug, Default)]
struct Received {
    reports: HashMap<ContainerId, Vec<ContainerReport>>,
    heartbeats: Vec<Heartbeat>,
    strays: Vec<UnknownContainer>,
    assigned: Vec<AssignedContainer>,
}

/// The scripted zun-api.
#[derive(Clone)]
pub(crate) struct Controller {
    received: Arc<Mutex<Received>>,
    news: watch::Sender<()>,
}

impl Controller {
    /// Starts to receive reports. Calls are answered only after [`Controller::answers`].
    pub(crate) async fn start(bus: &Bus, tasks: &Tasks) -> Self {
        let controller = Self { received: Arc::default(), news: watch::Sender::new(()) };
        let on_report = controller.clone();
        let on_beat = controller.clone();
        let on_stray = controller.clone();
        let router = Router::new()
            .on(move |report: ContainerReport, incoming: Incoming| {
                assert_eq!(incoming.sender, report.host.as_str());
                on_report.record(|received| {
                    received.reports.entry(report.container).or_default().push(report);
                });
                async { Ok::<_, Problem>(Done {}) }
            })
            .on(move |beat: Heartbeat, _: Incoming| {
                on_beat.record(|received| received.heartbeats.push(beat));
                async { Ok::<_, Problem>(Done {}) }
            })
            .on(move |stray: UnknownContainer, _: Incoming| {
                on_stray.record(|received| received.strays.push(stray));
                async { Ok::<_, Problem>(Done {}) }
            });
        let deliveries = bus.transport().consume(Route::Reports, 1).await.expect("deliveries");
        Arc::new(router).serve(deliveries, tasks);
        controller
    }

    /// Starts to answer calls.
    pub(crate) async fn answers(&self, bus: &Bus, tasks: &Tasks) {
        let own = self.clone();
        let router = Router::new().on(move |_: AssignedContainers, _: Incoming| {
            let containers = own.received.lock().expect("a lock").assigned.clone();
            async move { Ok::<_, Problem>(Assigned { containers }) }
        });
        let deliveries = bus.transport().consume(Route::Controller, 8).await.expect("deliveries");
        Arc::new(router).serve(deliveries, tasks);
    }

    pub(crate) fn assign(&self, assigned: Vec<AssignedContainer>) {
        self.received.lock().expect("a lock").assigned = assigned;
    }

    /// Returns all reports about a container, in order.
    pub(crate) fn history(&self, container: ContainerId) -> Vec<ContainerReport> {
        self.received.lock().expect("a lock").reports.get(&container).cloned().unwrap_or_default()
    }

    /// Returns the report that zun-api would have in its database.
    pub(crate) fn newest(&self, container: ContainerId) -> Option<ContainerReport> {
        self.history(container).into_iter().max_by_key(|report| report.generation)
    }

    /// Waits until the newest report has this status and no task state.
    pub(crate) async fn until(&self, container: ContainerId, status: Status) -> ContainerReport {
        let settled =
            |report: &ContainerReport| report.status == status && report.task_state.is_none();
        self.until_report(container, settled).await
    }

    pub(crate) async fn until_report(
        &self,
        container: ContainerId,
        wanted: impl Fn(&ContainerReport) -> bool,
    ) -> ContainerReport {
        let found = || self.newest(container).filter(|report| wanted(report));
        let what = || format!("a report among {:#?}", self.history(container));
        self.eventually(found, what).await
    }

    pub(crate) async fn until_heartbeat(&self, wanted: impl Fn(&Heartbeat) -> bool) -> Heartbeat {
        let last = || self.received.lock().expect("a lock").heartbeats.last().cloned();
        self.eventually(|| last().filter(|beat| wanted(beat)), || format!("after {:?}", last()))
            .await
    }

    pub(crate) async fn until_stray(&self) -> UnknownContainer {
        let first = || self.received.lock().expect("a lock").strays.first().cloned();
        self.eventually(first, || "a stray".to_owned()).await
    }

    async fn eventually<T>(&self, found: impl Fn() -> Option<T>, what: impl Fn() -> String) -> T {
        let mut news = self.news.subscribe();
        let waiting = async {
            while found().is_none() {
                news.changed().await.expect("the controller lives");
            }
            found()
        };
        let within = Duration::from_secs(20);
        tokio::time::timeout(within, waiting)
            .await
            .ok()
            .flatten()
            .unwrap_or_else(|| panic!("waited for {}", what()))
    }

    fn record(&self, write: impl FnOnce(&mut Received)) {
        write(&mut self.received.lock().expect("a lock"));
        self.news.send_replace(());
    }
}
