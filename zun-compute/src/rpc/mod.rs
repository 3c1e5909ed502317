//! Routes calls to their handlers. Operations go to the workers; all other calls are answered at once, each with a
//! deadline.

mod console;
mod container;
mod exec;
mod files;
mod stray;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use zun_common::bus::{Incoming, Router};
use zun_common::rpc::exec as exec_calls;
use zun_common::rpc::image::{FoundImages, SearchImages};
use zun_common::rpc::operation::{PerformOperation, Performing};
use zun_common::rpc::{Call as _, Problem};

use crate::driver::DriverError;
use crate::host::{Host, within};
use crate::worker::Workers;

/// The calls from the host's queue.
pub(crate) fn calls(host: &Arc<Host>, workers: &Workers) -> Router {
    let router = perform(Router::new(), host, workers);
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
        answer(router, host, |host, call| async move { console::issue(&host, call).await });
    let router = answer(router, host, |host, call| async move { console::list(&host, call).await });
    let router =
        answer(router, host, |host, call| async move { console::revoke(&host, call).await });
    let router =
        answer(router, host, |host, call| async move { console::recordings(&host, call).await });
    let router =
        answer(
            router,
            host,
            |host, call| async move { console::delete_recording(&host, call).await },
        );
    let router = answer(router, host, |host, call| async move {
        console::issue_for_recording(&host, call).await
    });
    let router = answer(router, host, |host, call| async move { stray::remove(&host, call).await });
    let router = files::calls(router, host);
    let router = answer(router, host, |host, call| async move { exec::create(&host, call).await });
    let router = answer(router, host, |host, call| async move { exec::run(&host, call).await });
    let router = answer(router, host, |host, call: exec_calls::ResizeExec| async move {
        exec::resize(&host, call).await
    });
    let router = answer(router, host, |host, call: exec_calls::LocateExec| async move {
        exec::locate(&host, call).await
    });
    let router = answer(router, host, |host, call: exec_calls::SignalExec| async move {
        exec::signal(&host, call).await
    });
    answer(router, host, |host, call: SearchImages| async move {
        let searching = host.driver.image_search(&call.term);
        let images = within_deadline(SearchImages::DEADLINE, "search images", searching).await?;
        Ok(FoundImages { images })
    })
}

/// Passes operations of the current epoch to the workers.
fn perform(router: Router, host: &Arc<Host>, workers: &Workers) -> Router {
    let (host, workers) = (Arc::clone(host), workers.clone());
    router.on(move |call: PerformOperation, _incoming: Incoming| {
        let (host, workers) = (Arc::clone(&host), workers.clone());
        async move {
            let PerformOperation { epoch, operation } = call;
            host.control.check(epoch)?;
            Ok(Performing { outcome: workers.perform(operation).await? })
        }
    })
}

fn answer<C, H, F>(router: Router, host: &Arc<Host>, handler: H) -> Router
where
    C: zun_common::rpc::Call,
    H: Fn(Arc<Host>, C) -> F + Send + Sync + 'static,
    F: Future<Output = Result<C::Reply, Problem>> + Send + 'static,
{
    let (host, handler) = (Arc::clone(host), Arc::new(handler));
    router.on(move |call: C, incoming: Incoming| {
        let (host, handler) = (Arc::clone(&host), Arc::clone(&handler));
        async move {
            host.control.admit(incoming.epoch).await?;
            handler(host, call).await
        }
    })
}

/// When the work on a call about a container must end: after 90 % of the caller's deadline, so that the caller receives
/// the error and does not time out first.
struct Deadline {
    latest: Instant,
    limit: Duration,
}

impl Deadline {
    /// Begins now.
    fn of<C: zun_common::rpc::Call>() -> Self {
        let limit = C::DEADLINE.mul_f32(0.9);
        Self { latest: Instant::now() + limit, limit }
    }

    /// Runs a part of the work in the time that is left. The error names the whole time.
    async fn run<T>(
        &self,
        host: &Host,
        doing: &'static str,
        call: impl Future<Output = Result<T, DriverError>> + Send,
    ) -> Result<T, Problem> {
        let answer = match tokio::time::timeout_at(self.latest, call).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(host.unanswered(doing, self.limit)),
        };
        answer.map_err(|error| error.problem())
    }
}

/// Runs a call with 90 % of the caller's deadline, so that the caller receives the error and does not time out first.
async fn within_deadline<T>(
    deadline: Duration,
    doing: &'static str,
    call: impl Future<Output = Result<T, DriverError>> + Send,
) -> Result<T, Problem> {
    within(deadline.mul_f32(0.9), doing, call).await.map_err(|error| error.problem())
}
