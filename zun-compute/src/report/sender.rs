//! Sends the newest reports and the outcomes of operations, several containers at a time, and repeats each until
//! zun-api has stored it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use zun_common::backoff::Backoff;
use zun_common::bus::{Bus, CallError};
use zun_common::chain;
use zun_common::id::{ContainerId, Epoch};
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::operation::ReportContainer;
use zun_common::rpc::{Code, Done};
use zun_common::shutdown::Tasks;

use super::Reports;
use super::outbox::Message;
use crate::host::Host;

/// Number of messages that are sent at a time, each about another container.
const CONCURRENCY: usize = 16;

/// Sends reports until shutdown. Nothing is sent before the agent is registered.
pub(crate) async fn send(host: Arc<Host>, bus: Bus, tasks: Tasks) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let mut failing = false;
    loop {
        let epoch = tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            epoch = host.control.registered() => epoch,
        };
        let batch = host.reports.batch();
        if batch.is_empty() {
            tokio::select! {
                biased;
                () = tasks.cancelled() => return,
                () = host.reports.ready.notified() => continue,
            }
        }
        let failed = tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            failed = send_batch(&host, &bus, (epoch, batch)) => failed,
        };
        if failed.is_none() {
            if std::mem::take(&mut failing) {
                tracing::info!("zun-api accepts reports again");
            }
            backoff.reset();
            continue;
        }
        if let Some(why) = failed.filter(|_| !failing) {
            tracing::warn!(error = %why, "zun-api does not accept reports; the newest are kept");
            failing = true;
        }
        tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            () = backoff.wait() => {}
        }
    }
}

/// Returns why a message was not accepted, if any was not.
async fn send_batch(
    host: &Host,
    bus: &Bus,
    (epoch, batch): (Epoch, Vec<Message>),
) -> Option<String> {
    let each = batch.into_iter().map(|message| async move {
        let Message { container, report, outcomes } = message;
        let host_name = host.name.clone();
        let call = ReportContainer { host: host_name, epoch, container, report, outcomes };
        let answer = bus.call_controller(&call, &CallContext::internal()).await;
        let outcome = accepted(host, &call, answer);
        if let Some(delay) = host.reports.settle(container, outcome.is_ok()) {
            host.metrics.report_delay.observe(delay.as_secs_f64());
        }
        outcome.err()
    });
    join_all(each).await.into_iter().flatten().next()
}

/// Whether zun-api has stored the message, or will never do so.
fn accepted(
    host: &Host,
    call: &ReportContainer,
    answer: Result<Done, CallError>,
) -> Result<(), String> {
    let container = call.container;
    match answer {
        Ok(Done {}) => {
            tracing::debug!(container.id = %container, outcomes = call.outcomes.len(), "reported container {container}");
            Ok(())
        }
        Err(CallError::Refused { problem, .. }) => match problem.code {
            Code::NotFound | Code::Forbidden | Code::BadRequest => {
                tracing::warn!(container.id = %container, error = %problem, "zun-api refused a report of container {container}");
                Ok(())
            }
            Code::StaleEpoch => {
                host.control.lost(call.epoch);
                host.control.pull_now();
                Err(problem.to_string())
            }
            Code::Conflict
            | Code::Busy
            | Code::Closing
            | Code::Expired
            | Code::UnknownMethod
            | Code::Unsupported
            | Code::TooLarge
            | Code::NoConsole
            | Code::NotOffered
            | Code::Unfinished
            | Code::Uncertain
            | Code::Engine
            | Code::EngineDown
            | Code::Internal
            | Code::Unknown => Err(problem.to_string()),
        },
        Err(error) => Err(chain(&error)),
    }
}

impl Reports {
    fn batch(&self) -> Vec<Message> {
        let mut outbox = self.outbox();
        std::iter::from_fn(|| outbox.take()).take(CONCURRENCY).collect()
    }

    /// Returns the delay of an accepted message.
    fn settle(&self, container: ContainerId, accepted: bool) -> Option<Duration> {
        let delay = if accepted {
            self.outbox().acknowledged(container)
        } else {
            self.outbox().failed(container);
            None
        };
        self.settled.notify_waiters();
        delay
    }
}
