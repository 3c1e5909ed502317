//! Registers the agent with zun-api, which begins its epoch.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use zun_common::bus::{Bus, CallError};
use zun_common::chain;
use zun_common::rpc::Code;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::operation::{AgentIdentity, PROTOCOL, RegisterAgent, Registered};

use crate::host::Host;
use crate::worker::Workers;

/// The time limit for Docker to name its ID.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(10);

/// Registers the agent. Fails if Docker or zun-api does not answer, or if zun-api refuses.
pub(super) async fn register(host: &Host, workers: &Workers, bus: &Bus) -> Result<(), String> {
    if !bus.transport().is_serving() {
        return Err("the bus does not deliver this host's messages".to_owned());
    }
    let engine = timeout(ENGINE_TIMEOUT, host.driver.engine()).await;
    let engine = engine
        .map_err(|_elapsed| "Docker does not answer".to_owned())?
        .map_err(|error| chain(&error))?;
    match host.engine_lock.hold(&engine.id) {
        Ok(true) => {}
        Ok(false) => return Err("another agent manages this Docker engine".to_owned()),
        Err(error) => {
            let words = chain(&error);
            host.failure.send_replace(Some(Arc::new(error)));
            return Err(words);
        }
    }
    let call = RegisterAgent {
        host: host.name.clone(),
        engine_id: engine.id,
        protocol: PROTOCOL,
        position: host.position.get(),
        agent: Some(AgentIdentity { data: Some(engine.data), ..host.identity.clone() }),
    };
    match bus.call_controller(&call, &CallContext::internal()).await {
        Ok(Registered { epoch, cluster }) => {
            tracing::info!(
                host.name = %host.name, epoch = epoch.0,
                "registered host {}; its epoch is {epoch}", host.name
            );
            workers.restart(epoch);
            host.position.begin(cluster, epoch);
            if host.reports.begin_epoch() {
                host.reconcile_needed.notify_one();
            }
            host.control.begin(epoch);
            Ok(())
        }
        Err(CallError::Refused { problem, .. }) if problem.code != Code::Busy => {
            if problem.code == Code::Conflict {
                host.control.refuse();
            }
            Err(format!("zun-api refuses this agent: {problem}"))
        }
        Err(error) => Err(chain(&error)),
    }
}
