//! Heartbeats: the host's inventory, the address of its consoles, and the shutdown of its agent. Each reply lists the
//! open operations.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use zun_common::bus::{Bus, CallError};
use zun_common::chain;
use zun_common::id::Epoch;
use zun_common::rpc::Code;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::host::{Heartbeat, Inventory};
use zun_common::rpc::operation::{OpenOperations, SendHeartbeat};
use zun_common::shutdown::Tasks;
use zun_common::units::{Mebibytes, Resources};

use super::register::register;
use crate::driver::EngineInfo;
use crate::health::AgentHealth;
use crate::host::Host;
use crate::worker::Workers;

const ENGINE_TIMEOUT: Duration = Duration::from_secs(3);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The interval between attempts to register.
const REGISTER_INTERVAL: Duration = Duration::from_secs(1);

/// Registers, and then sends a heartbeat at once, every interval, when the host has changed, and when an operation is
/// missing, until shutdown. While the bus does not deliver this host's messages it sends none: a host that
/// cannot be reached does not count as up.
pub(crate) async fn beat(host: Arc<Host>, workers: Workers, bus: Bus, tasks: Tasks) {
    let mut ticks = interval(host.heartbeat.every());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut console = host.console.changes();
    let (mut warned, mut is_asked) = (false, true);
    loop {
        let outcome = tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            outcome = beat_once(&host, &workers, (&bus, is_asked)) => outcome,
        };
        update_health(&host, &outcome, &bus);
        let registered = host.control.epoch().is_some();
        match outcome.sent {
            Ok(()) => warned = false,
            Err(why) if !warned => {
                tracing::warn!(host.name = %host.name, error = %why, "cannot send a heartbeat");
                warned = true;
            }
            Err(_still) => {}
        }
        is_asked = tokio::select! {
            biased;
            () = tasks.cancelled() => return,
            () = host.control.pull.notified() => true,
            _ = ticks.tick() => false,
            Ok(()) = console.changed() => false,
            () = tokio::time::sleep(REGISTER_INTERVAL), if !registered => false,
        };
    }
}

/// Announces that the agent shuts down.
pub(crate) async fn leave(host: &Host, bus: &Bus) {
    let Some(epoch) = host.control.epoch() else { return };
    let heartbeat = heartbeat(host, true).await;
    let position = host.position.get();
    let sent_at = host.control.now();
    let call = SendHeartbeat { epoch, heartbeat, position, digest: None, after: 0, sent_at };
    let sent = timeout(LEAVE_TIMEOUT, bus.call_controller(&call, &CallContext::internal())).await;
    let why = match sent {
        Ok(Ok(_open)) => return,
        Ok(Err(error)) => chain(&error),
        Err(_elapsed) => "zun-api did not answer in time".to_owned(),
    };
    tracing::warn!(host.name = %host.name, error = %why, "cannot announce that this agent shuts down");
}

/// The result of one heartbeat.
struct Sent {
    /// Whether the engine answered.
    engine: bool,
    sent: Result<(), String>,
}

async fn beat_once(host: &Host, workers: &Workers, (bus, is_asked): (&Bus, bool)) -> Sent {
    let heartbeat = heartbeat(host, false).await;
    let engine = heartbeat.inventory.is_some();
    let is_due = is_asked
        || host.control.epoch().is_none()
        || host.control.pace().is_due(&heartbeat, Instant::now());
    let sent = if is_due { send(host, workers, (bus, heartbeat)).await } else { Ok(()) };
    Sent { engine, sent }
}

async fn send(
    host: &Host,
    workers: &Workers,
    (bus, heartbeat): (&Bus, Heartbeat),
) -> Result<(), String> {
    if host.control.epoch().is_none() {
        register(host, workers, bus).await?;
    }
    let Some(epoch) = host.control.epoch() else { return Ok(()) };
    if !bus.transport().is_serving() {
        host.control.pace().reset();
        return Err("the bus does not deliver this host's messages".to_owned());
    }
    let sent = Instant::now();
    let digest = host.control.comparison().is_due().then(|| host.reports.digest());
    let (position, after) = (host.position.get(), workers.listed_to());
    let sent_at = host.control.now();
    let call = SendHeartbeat { epoch, heartbeat, position, digest, after, sent_at };
    match bus.call_controller(&call, &CallContext::internal()).await {
        Ok(open) => {
            if let Some(sent) = &call.position {
                host.position.compared(sent);
            }
            if let (Some(own), Some(theirs)) = (digest, open.digest)
                && host.control.comparison().compare(own, theirs)
            {
                tracing::warn!(
                    host.name = %host.name,
                    "zun-api's database differs from what this host has reported: asking which containers differ"
                );
                host.reconcile_needed.notify_one();
            }
            host.metrics.heartbeats.inc();
            host.control.pace().answered(sent, call.heartbeat, open.interval);
            receive(host, workers, (epoch, sent, open));
            Ok(())
        }
        Err(CallError::Refused { problem, .. }) if problem.code == Code::StaleEpoch => {
            host.control.lost(epoch);
            Err(problem.to_string())
        }
        Err(error) => {
            host.control.pace().reset();
            Err(chain(&error))
        }
    }
}

fn receive(host: &Host, workers: &Workers, (epoch, sent, open): (Epoch, Instant, OpenOperations)) {
    host.control.set_clock(sent, open.now);
    if host.control.epoch() != Some(epoch) {
        return;
    }
    let has_more = open.has_more;
    workers.perform_all(open);
    if has_more {
        host.control.pull_now();
    }
}

fn update_health(host: &Host, beat: &Sent, bus: &Bus) {
    let (engine, bus) = (beat.engine, bus.transport().is_serving());
    let no_console = host.console.required().err().map(|problem| problem.message);
    host.health.send_modify(|health| {
        *health = AgentHealth { beats: health.beats + 1, engine, bus, no_console };
    });
}

async fn heartbeat(host: &Host, leaving: bool) -> Heartbeat {
    let inventory = if leaving { None } else { inventory(host).await };
    Heartbeat {
        host: host.name.clone(),
        inventory,
        console: if leaving { None } else { host.console.listener() },
        console_trouble: host.console.unavailable_reason(),
        interval: host.control.pace().interval(),
        leaving,
        generation: host.control.next_heartbeat(),
        strays: host.strays.get(),
    }
}

async fn inventory(host: &Host) -> Option<Inventory> {
    match timeout(ENGINE_TIMEOUT, host.driver.engine()).await {
        Ok(Ok(engine)) => Some(describe(engine, host)),
        Ok(Err(error)) => {
            tracing::debug!(error = %chain(&error), "a heartbeat has no inventory");
            None
        }
        Err(_elapsed) => None,
    }
}

fn describe(engine: EngineInfo, host: &Host) -> Inventory {
    let EngineInfo {
        id: _,
        data: _,
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
    let memory = Mebibytes(total.memory.0.saturating_sub(host.reserved_memory.0));
    Inventory {
        total: Resources { memory, ..total },
        disk,
        architecture,
        os_type,
        os,
        kernel,
        engine,
        runtimes,
        labels: host.labels.clone(),
        publish_address: Some(host.publish_address),
        availability_zone: Some(host.availability_zone.clone()),
    }
}
