//! Sends the newest reports and the outcomes of operations, several containers at a time, and repeats each until
//! zun-api has stored it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};
use zun_common::backoff::Backoff;
use zun_common::bus::{Bus, CallError};
use zun_common::chain;
use zun_common::id::{ContainerId, Epoch};
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::operation::ReportContainer;
use zun_common::rpc::{Code, Done, Problem};
use zun_common::shutdown::Tasks;

use super::Reports;
use super::outbox::Message;
use crate::host::Host;

/// Number of messages that are sent at a time, each about another container.
const CONCURRENCY: usize = 16;
/// How long the reports of a container pause after zun-api has failed to store one because of that container.
const REST: Duration = Duration::from_secs(10);

/// Why a message was not accepted.
enum Refusal {
    /// zun-api accepts none now.
    OfAll(String),
    /// zun-api cannot store reports of this container.
    OfOne(Problem),
}

/// Sends reports until shutdown. Nothing is sent before the agent is registered.
pub(crate) async fn send(host: Arc<Host>, bus: Bus, tasks: Tasks) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let mut failing = false;
    let mut resting = VecDeque::new();
    loop {
        let epoch = tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            epoch = host.control.registered() => epoch,
        };
        host.reports.wake_rested(&mut resting);
        let batch = host.reports.batch();
        if batch.is_empty() {
            tokio::select! {
                biased;
                () = tasks.cancelled() => return,
                () = host.reports.ready.notified() => continue,
                () = until_rested(&resting) => continue,
            }
        }
        let failed = tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            failed = send_batch(&host, &bus, (epoch, batch), &mut resting) => failed,
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

/// The containers whose reports are paused, ordered by the ends of their pauses.
type Resting = VecDeque<(Instant, ContainerId)>;

async fn until_rested(resting: &Resting) {
    match resting.front() {
        Some((until, _)) => sleep_until(*until).await,
        None => std::future::pending().await,
    }
}

/// Returns why zun-api accepts no messages, if that is so. Pauses the containers whose messages it cannot store.
async fn send_batch(
    host: &Host,
    bus: &Bus,
    (epoch, batch): (Epoch, Vec<Message>),
    resting: &mut Resting,
) -> Option<String> {
    let each = batch.into_iter().map(|message| async move {
        let Message { container, report, outcomes } = message;
        let host_name = host.name.clone();
        let call = ReportContainer { host: host_name, epoch, container, report, outcomes };
        let answer = bus.call_controller(&call, &CallContext::internal()).await;
        let outcome = accepted(host, &call, answer);
        if let Some(delay) = host.reports.settle(container, &outcome) {
            host.metrics.report_delay.observe(delay.as_secs_f64());
        }
        outcome.err().map(|refusal| (container, refusal))
    });
    let mut failed = None;
    for (container, refusal) in join_all(each).await.into_iter().flatten() {
        match refusal {
            Refusal::OfAll(why) => failed = Some(why),
            Refusal::OfOne(problem) => {
                tracing::warn!(
                    container.id = %container, error = %problem,
                    "zun-api cannot store the report of container {container}; will retry"
                );
                resting.push_back((Instant::now() + REST, container));
            }
        }
    }
    failed
}

/// Whether zun-api has stored the message, or will never do so.
fn accepted(
    host: &Host,
    call: &ReportContainer,
    answer: Result<Done, CallError>,
) -> Result<(), Refusal> {
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
                Err(Refusal::OfAll(problem.to_string()))
            }
            Code::Conflict | Code::TooLarge | Code::Internal => Err(Refusal::OfOne(problem)),
            Code::Busy
            | Code::Closing
            | Code::Expired
            | Code::UnknownMethod
            | Code::Unsupported
            | Code::NoConsole
            | Code::NotOffered
            | Code::Unfinished
            | Code::Uncertain
            | Code::Engine
            | Code::EngineDown
            | Code::Unknown => Err(Refusal::OfAll(problem.to_string())),
        },
        Err(error) => Err(Refusal::OfAll(chain(&error))),
    }
}

impl Reports {
    fn batch(&self) -> Vec<Message> {
        let mut outbox = self.outbox();
        std::iter::from_fn(|| outbox.take()).take(CONCURRENCY).collect()
    }

    /// Queues the reports of containers whose pause has ended.
    fn wake_rested(&self, resting: &mut Resting) {
        while let Some((_, container)) = resting.pop_front_if(|(until, _)| *until <= Instant::now())
        {
            self.outbox().wake(container);
        }
    }

    /// Returns the delay of an accepted message.
    fn settle(&self, container: ContainerId, outcome: &Result<(), Refusal>) -> Option<Duration> {
        let delay = match outcome {
            Ok(()) => self.outbox().acknowledged(container),
            Err(Refusal::OfAll(_)) => {
                self.outbox().failed(container);
                None
            }
            Err(Refusal::OfOne(_)) => {
                self.outbox().rest(container);
                None
            }
        };
        self.settled.notify_waiters();
        delay
    }
}
