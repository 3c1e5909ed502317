//! One task that tells the newest reports, several containers at a time, and tries until the bus is back.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use zun_common::backoff::Backoff;
use zun_common::bus::Bus;
use zun_common::chain;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::report::ContainerReport;
use zun_common::shutdown::Tasks;

use super::Reports;

/// How many are on their way at a time, each of another container.
const AT_ONCE: usize = 16;
/// After so long the newest is taken anew, since it may be another one by now.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Tells reports until shutdown.
pub(crate) async fn send(reports: Arc<Reports>, bus: Bus, tasks: Tasks) {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    let mut cut_off = false;
    loop {
        let batch = reports.batch();
        if batch.is_empty() {
            tokio::select! {
                () = tasks.cancelled() => return,
                () = reports.more.notified() => continue,
            }
        }
        let failed = tell(&reports, &bus, batch).await;
        if failed.is_none() {
            if std::mem::take(&mut cut_off) {
                tracing::info!("reports reach the bus again");
            }
            backoff.reset();
            continue;
        }
        if let Some(why) = failed.filter(|_| !cut_off) {
            tracing::warn!(error = %why, "reports do not reach the bus; the newest are kept");
            cut_off = true;
        }
        tokio::select! {
            () = tasks.cancelled() => return,
            () = backoff.wait() => {}
        }
    }
}

/// Says why one did not arrive, if any did not.
async fn tell(reports: &Reports, bus: &Bus, batch: Vec<ContainerReport>) -> Option<String> {
    let context = CallContext::internal();
    let each = batch.into_iter().map(|report| {
        let context = &context;
        async move {
            let outcome = match tokio::time::timeout(ATTEMPT, bus.report(&report, context)).await {
                Ok(outcome) => outcome.map_err(|error| chain(&error)),
                Err(_elapsed) => Err("the bus did not take it in time".to_owned()),
            };
            reports.settle(&report, outcome.is_ok());
            outcome.err()
        }
    });
    join_all(each).await.into_iter().flatten().next()
}

impl Reports {
    fn batch(&self) -> Vec<ContainerReport> {
        let mut ledger = self.ledger();
        std::iter::from_fn(|| ledger.take()).take(AT_ONCE).collect()
    }

    fn settle(&self, report: &ContainerReport, arrived: bool) {
        if arrived {
            tracing::debug!(
                container.id = %report.container, generation = report.generation,
                "told that container {} is {}", report.container, report.status
            );
            self.ledger().told(report.container);
        } else {
            self.ledger().untold(report.container);
        }
        self.told.notify_waiters();
    }
}
