//! Signs of life: what the host has, where its consoles are, and that it leaves.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use zun_common::bus::Bus;
use zun_common::chain;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::host::{Heartbeat, Inventory};
use zun_common::shutdown::Tasks;

use crate::driver::EngineInfo;
use crate::health::AgentHealth;
use crate::host::Host;

const ENGINE_ANSWERS_WITHIN: Duration = Duration::from_secs(3);
const LEAVING_WITHIN: Duration = Duration::from_secs(2);

/// Beats at once, every interval, and when the console's status changes, until shutdown. While the bus does
/// not bring this host its commands there is no heartbeat: a host that would not answer does not count as up.
pub(crate) async fn beat(host: Arc<Host>, bus: Bus, tasks: Tasks) {
    let mut ticks = interval(host.heartbeat.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut console = host.console.changes();
    let mut quiet = false;
    loop {
        tokio::select! {
            () = tasks.cancelled() => return,
            _ = ticks.tick() => {}
            Ok(()) = console.changed() => {}
        }
        let outcome = tokio::select! {
            () = tasks.cancelled() => return,
            outcome = beat_once(&host, &bus) => outcome,
        };
        found(&host, &outcome, &bus);
        match outcome.told {
            Ok(()) => quiet = false,
            Err(why) if !quiet => {
                tracing::warn!(host.name = %host.name, error = %why, "no heartbeat was sent");
                quiet = true;
            }
            Err(_still) => {}
        }
    }
}

/// Says that no more will come.
pub(crate) async fn leave(host: &Host, bus: &Bus) {
    let beat = heartbeat(host, true).await;
    if let Err(why) = tell(bus, &beat, LEAVING_WITHIN).await {
        tracing::warn!(host.name = %host.name, error = %why, "could not say that this host leaves");
    }
}

/// What one heartbeat found.
struct Beat {
    /// The engine answered.
    engine: bool,
    told: Result<(), String>,
}

async fn beat_once(host: &Host, bus: &Bus) -> Beat {
    let beat = heartbeat(host, false).await;
    let told = if bus.transport().is_serving() {
        tell(bus, &beat, host.heartbeat.every().max(LEAVING_WITHIN)).await
    } else {
        Err("the bus does not bring this host's messages".to_owned())
    };
    Beat { engine: beat.inventory.is_some(), told }
}

fn found(host: &Host, beat: &Beat, bus: &Bus) {
    let (engine, bus) = (beat.engine, bus.transport().is_serving());
    let no_console = host.console.required().err().map(|problem| problem.message);
    host.health.send_modify(|health| {
        *health = AgentHealth { beats: health.beats + 1, engine, bus, no_console };
    });
}

async fn tell(bus: &Bus, beat: &Heartbeat, within: Duration) -> Result<(), String> {
    match timeout(within, bus.report(beat, &CallContext::internal())).await {
        Ok(outcome) => outcome.map_err(|error| chain(&error)),
        Err(_elapsed) => Err("the bus did not take it in time".to_owned()),
    }
}

async fn heartbeat(host: &Host, leaving: bool) -> Heartbeat {
    let inventory = if leaving { None } else { inventory(host).await };
    Heartbeat {
        host: host.name.clone(),
        inventory,
        console: if leaving { None } else { host.console.listener() },
        console_trouble: host.console.unavailable_reason(),
        interval: host.heartbeat.interval,
        leaving,
        generation: super::now(),
    }
}

async fn inventory(host: &Host) -> Option<Inventory> {
    match timeout(ENGINE_ANSWERS_WITHIN, host.driver.engine()).await {
        Ok(Ok(engine)) => Some(of(engine, host)),
        Ok(Err(error)) => {
            tracing::debug!(error = %chain(&error), "a heartbeat goes without an inventory");
            None
        }
        Err(_elapsed) => None,
    }
}

fn of(engine: EngineInfo, host: &Host) -> Inventory {
    let EngineInfo {
        engine,
        api_version: _,
        total,
        disk,
        architecture,
        os_type,
        os,
        kernel,
        runtimes,
        authorization: _,
    } = engine;
    Inventory {
        total,
        disk,
        architecture,
        os_type,
        os,
        kernel,
        engine,
        runtimes,
        labels: host.labels.clone(),
    }
}
