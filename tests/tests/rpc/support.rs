//! Calls for these tests, and a service that answers them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::UnboundedReceiver;
use zun_common::bus::{Bus, Router};
use zun_common::bus::{BusSettings, Route, connect};
use zun_common::id::HostName;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::{Call, Done};
use zun_common::shutdown::Tasks;
use zun_common::telemetry::{LogSettings, init};
use zun_tests::eventually::eventually_some;

/// Answered with the next number.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Count(pub(super) u32);

impl Call for Count {
    const METHOD: &'static str = "test.count";
    const DEADLINE: Duration = Duration::from_secs(20);
    type Reply = u32;
}

/// Answered when it is done.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Work(pub(super) String);

impl Call for Work {
    const METHOD: &'static str = "test.work";
    const DEADLINE: Duration = Duration::from_secs(40);
    type Reply = Done;
}

pub(super) fn host(name: &str) -> HostName {
    name.parse().expect("a host name")
}

pub(super) fn context() -> CallContext {
    CallContext::internal()
}

/// Waits for the worker's next attempt.
pub(super) async fn next_attempt<T>(attempts: &mut UnboundedReceiver<T>) -> T {
    let attempt = tokio::time::timeout(Duration::from_mins(1), attempts.recv()).await;
    attempt.expect("an attempt in time").expect("the worker is there")
}

/// Returns a connected bus. `ZUN_TEST_LOG=zun_common=debug` prints its log.
pub(super) async fn bus(settings: &BusSettings, tasks: &Tasks) -> Bus {
    if let Some(filter) = std::env::var_os("ZUN_TEST_LOG") {
        let filter = filter.into_string().expect("a filter");
        init(&LogSettings { filter, ..LogSettings::default() }).expect("a filter");
    }
    let bus = connect(settings, "test", tasks).expect("valid settings");
    eventually_some("the bus is connected", async || bus.transport().is_connected().then_some(()))
        .await;
    bus
}

/// Serves the queue of a host.
pub(super) async fn serve(bus: &Bus, host: &HostName, router: Router, tasks: &Tasks) {
    let deliveries = bus.transport().consume(Route::Host(host.clone()), 16).await;
    Arc::new(router).serve(deliveries.expect("deliveries"), tasks);
}

/// Returns a router that answers `Count`.
pub(super) fn counting() -> Router {
    Router::new().on(|Count(number), _| async move { Ok(number + 1) })
}
