//! Routes calls to their handlers. Commands go to the workers; all other calls are answered at once, each with a
//! deadline.

mod container;
mod exec;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use zun_common::bus::{Incoming, Router};
use zun_common::rpc::Problem;
use zun_common::rpc::container as calls;
use zun_common::rpc::exec as exec_calls;

use crate::driver::DriverError;
use crate::host::{Host, within};
use crate::worker::{Command, Origin, Workers};

/// How long the agent waits for a signal to be sent before it answers the call.
const SENT_WITHIN: Duration = Duration::from_secs(2);

/// The calls from the host's durable queue.
pub(crate) fn commands(workers: &Workers) -> Router {
    let router = Router::new();
    let router = accept(router, workers, |call: calls::CreateContainer| {
        (call.container, Command::Create(Box::new(call)))
    });
    let router =
        accept(router, workers, |call: calls::StartContainer| (call.container, Command::Start));
    let router = accept(router, workers, |call: calls::StopContainer| {
        (call.container, Command::Stop { grace: seconds(call.grace) })
    });
    let router = accept(router, workers, |call: calls::RebootContainer| {
        (call.container, Command::Reboot { grace: seconds(call.grace) })
    });
    let router =
        accept(router, workers, |call: calls::PauseContainer| (call.container, Command::Pause));
    let router =
        accept(router, workers, |call: calls::UnpauseContainer| (call.container, Command::Unpause));
    let router = signal(router, workers);
    accept(router, workers, |call: calls::RemoveContainer| {
        (call.container, Command::Remove(call.how))
    })
}

/// The calls from the host's query queue.
pub(crate) fn queries(host: &Arc<Host>) -> Router {
    let router = Router::new();
    let router =
        answer(router, host, |host, call| async move { container::show(&host, call).await });
    let router =
        answer(router, host, |host, call| async move { container::logs(&host, call).await });
    let router =
        answer(router, host, |host, call| async move { container::locate(&host, call).await });
    let router =
        answer(router, host, |host, call| async move { container::resize(&host, call).await });
    let router =
        answer(router, host, |host, call| async move { container::locate_data(&host, call).await });
    let router =
        answer(router, host, |host, call| async move { container::top(&host, call).await });
    let router =
        answer(router, host, |host, call| async move { container::stats(&host, call).await });
    let router =
        answer(router, host, |host, call| async move { container::update(&host, call).await });
    let router = answer(router, host, |host, call| async move { exec::create(&host, call).await });
    let router = answer(router, host, |host, call| async move { exec::run(&host, call).await });
    let router = answer(router, host, |host, call: exec_calls::ResizeExec| async move {
        exec::resize(&host, call).await
    });
    let router = answer(router, host, |host, call: exec_calls::LocateExec| async move {
        exec::locate(&host, call).await
    });
    answer(router, host, |host, call: exec_calls::SignalExec| async move {
        exec::signal(&host, call).await
    })
}

fn accept<C>(
    router: Router,
    workers: &Workers,
    command: fn(C) -> (zun_common::id::ContainerId, Command),
) -> Router
where
    C: zun_common::rpc::Call<Reply = zun_common::rpc::Done>,
{
    let workers = workers.clone();
    router.accept(move |call: C, incoming: Incoming| {
        let workers = workers.clone();
        let origin = Origin { request: incoming.context.request, again: incoming.redelivered };
        let (container, command) = command(call);
        async move { workers.accept(container, command, origin).await }
    })
}

/// Answers the call after the signal was sent, or after 2 s if earlier commands of the container take longer.
fn signal(router: Router, workers: &Workers) -> Router {
    let workers = workers.clone();
    router.accept(move |call: calls::KillContainer, incoming: Incoming| {
        let workers = workers.clone();
        let origin = Origin { request: incoming.context.request, again: incoming.redelivered };
        let command = Command::Kill { signal: call.signal };
        async move {
            let mut accepted = workers.accept(call.container, command, origin).await?;
            if tokio::time::timeout(SENT_WITHIN, &mut accepted.work).await.is_ok() {
                accepted.work = Box::pin(std::future::ready(()));
            }
            Ok(accepted)
        }
    })
}

fn answer<C, H, F>(router: Router, host: &Arc<Host>, handler: H) -> Router
where
    C: zun_common::rpc::Call,
    H: Fn(Arc<Host>, C) -> F + Send + Sync + 'static,
    F: Future<Output = Result<C::Reply, Problem>> + Send + 'static,
{
    let host = Arc::clone(host);
    router.on(move |call: C, _incoming: Incoming| handler(Arc::clone(&host), call))
}

fn seconds(grace: Option<u32>) -> Option<Duration> {
    grace.map(|seconds| Duration::from_secs(u64::from(seconds)))
}

/// Runs a call with 90 % of the caller's deadline, so that the caller receives the error and does not time out first.
async fn within_deadline<T>(
    deadline: Duration,
    doing: &'static str,
    call: impl Future<Output = Result<T, DriverError>> + Send,
) -> Result<T, Problem> {
    within(deadline.mul_f32(0.9), doing, call).await.map_err(|error| error.problem())
}
