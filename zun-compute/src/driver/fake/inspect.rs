//! Looking at containers and at the engine.

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast::error::RecvError;
use zun_common::id::ContainerId;
use zun_common::rpc::container::{LogRequest, Logs};

use super::lifecycle::end;
use super::{FakeDriver, Operation};
use crate::driver::{DriverError, EngineEvent, EngineInfo, Inspect, Seen};

#[async_trait]
impl Inspect for FakeDriver {
    async fn inspect(&self, container: ContainerId) -> Result<Seen, DriverError> {
        let work =
            async { self.shared.state().record(container).map(|record| record.seen(container)) };
        self.shared.faults.perform(Operation::Inspect, Some(container), work).await
    }

    async fn list(&self) -> Result<Vec<Seen>, DriverError> {
        let work = async {
            let state = self.shared.state();
            Ok(state.containers.iter().map(|(container, record)| record.seen(*container)).collect())
        };
        self.shared.faults.perform(Operation::List, None, work).await
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
                    let mut ended = process.ended.subscribe();
                    end(&mut ended).await.ok_or(DriverError::NoContainer(container))
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

    async fn events(&self) -> Result<BoxStream<'static, EngineEvent>, DriverError> {
        let work = async {
            let events = self.shared.subscribe();
            Ok(stream::unfold(events, |mut events| async {
                loop {
                    match events.recv().await {
                        Ok(event) => return Some((event, events)),
                        // As with a real engine, what nobody takes in time is lost.
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
