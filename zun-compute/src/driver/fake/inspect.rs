//! Inspection of containers and of the in-memory engine.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast::error::RecvError;
use zun_common::id::ContainerId;
use zun_common::rpc::container::{LogRequest, Logs, Stats, Top};
use zun_common::status::Status;

use super::FakeDriver;
use super::faults::Operation;
use super::record::ContainerRecord;
use crate::driver::listing::{Limits, inspect_each};
use crate::driver::{
    ContainerInfo, DriverError, EngineEvent, EngineInfo, Inspect, ListedContainer,
};

/// As in the Docker driver, with shorter times.
const LISTING: Limits =
    Limits { at_once: 8, each: Duration::from_millis(100), total: Duration::from_secs(1) };

#[async_trait]
impl Inspect for FakeDriver {
    async fn inspect(&self, container: ContainerId) -> Result<ContainerInfo, DriverError> {
        let work = self.inspect_now(container);
        self.shared.faults.perform(Operation::Inspect, Some(container), work).await
    }

    async fn inspect_old(&self, container: ContainerId) -> Result<ContainerInfo, DriverError> {
        let work = async {
            let mut state = self.shared.state();
            state.old_record(container).map(|record| record.seen(container))
        };
        self.shared.faults.perform(Operation::InspectOld, Some(container), work).await
    }

    async fn list_old(&self) -> Result<Vec<ContainerId>, DriverError> {
        let work = async { Ok(self.shared.state().old.keys().copied().collect()) };
        self.shared.faults.perform(Operation::ListOld, None, work).await
    }

    async fn list(&self) -> Result<Vec<ListedContainer>, DriverError> {
        let work = async {
            let containers = {
                let state = self.shared.state();
                let ids = |(id, record): (&ContainerId, &ContainerRecord)| {
                    (*id, Some(record.engine.clone()))
                };
                state.containers.iter().map(ids).collect()
            };
            let inspect = |container| self.inspect_now(container);
            Ok(inspect_each(containers, LISTING, inspect).await)
        };
        self.shared.faults.perform(Operation::List, None, work).await
    }

    async fn statuses(&self) -> Result<Vec<(ContainerId, Option<Status>)>, DriverError> {
        let work = async {
            let state = self.shared.state();
            let listed = state.containers.iter();
            Ok(listed.map(|(id, record)| (*id, Some(record.status))).collect())
        };
        self.shared.faults.perform(Operation::Statuses, None, work).await
    }

    async fn wait(&self, container: ContainerId) -> Result<i64, DriverError> {
        let work = async {
            let (process, last) = {
                let mut state = self.shared.state();
                let record = state.record(container)?;
                (record.process.clone(), record.exit_code)
            };
            match process {
                Some(process) => {
                    process.exit_code().await.ok_or(DriverError::NoContainer(container))
                }
                None => Ok(last.unwrap_or(0)),
            }
        };
        self.shared.faults.perform(Operation::Wait, Some(container), work).await
    }

    async fn logs(
        &self,
        container: ContainerId,
        request: &LogRequest,
    ) -> Result<Logs, DriverError> {
        let work = async {
            if !request.stdout && !request.stderr {
                let words = "you must choose at least one stream".to_owned();
                return Err(DriverError::Invalid { words });
            }
            self.shared.state().record(container).map(|record| record.logs(request))
        };
        self.shared.faults.perform(Operation::Logs, Some(container), work).await
    }

    async fn top(&self, container: ContainerId, ps_args: Option<&str>) -> Result<Top, DriverError> {
        let work = async {
            let mut state = self.shared.state();
            let record = state.record(container)?;
            if !record.is_active() {
                let words = format!("Container {container} is not running");
                return Err(DriverError::Conflict { words });
            }
            let command = record.words().join(" ");
            let (titles, process) = match ps_args {
                None => (vec!["PID", "CMD"], vec!["1".to_owned(), command]),
                Some(_) => (vec!["COMMAND"], vec![command]),
            };
            let titles = titles.into_iter().map(str::to_owned).collect();
            Ok(Top { titles, processes: vec![process] })
        };
        self.shared.faults.perform(Operation::Top, Some(container), work).await
    }

    async fn stats(&self, container: ContainerId) -> Result<Stats, DriverError> {
        let work = async {
            let mut state = self.shared.state();
            let record = state.record(container)?;
            let runs = matches!(record.status, Status::Running | Status::Paused);
            Ok(Stats {
                cpu_percent: 0.0,
                memory: u64::from(runs) << 20,
                memory_limit: u64::from(runs) * record.spec.resources.memory.bytes(),
                block: (0, 0),
                network: (0, 0),
                processes: u64::from(runs),
            })
        };
        self.shared.faults.perform(Operation::Stats, Some(container), work).await
    }

    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>, DriverError> {
        let work = async {
            let events = self.shared.subscribe();
            Ok(stream::unfold(events, |mut events| async {
                loop {
                    match events.recv().await {
                        Ok(event) => return Some((event, events)),
                        // As with a real engine, events that are not read in time are lost.
                        Err(RecvError::Lagged(_)) => {}
                        Err(RecvError::Closed) => return None,
                    }
                }
            })
            .boxed())
        };
        self.shared.faults.perform(Operation::Events, None, work).await
    }

    async fn engine(&self) -> Result<EngineInfo, DriverError> {
        let work = async { Ok(self.shared.state().engine.clone()) };
        self.shared.faults.perform(Operation::Engine, None, work).await
    }
}

impl FakeDriver {
    async fn inspect_now(&self, container: ContainerId) -> Result<ContainerInfo, DriverError> {
        self.shared.faults.inspection(container).await?;
        self.shared.state().record(container).map(|record| record.seen(container))
    }
}
