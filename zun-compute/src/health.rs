//! The agent's health, which each heartbeat updates, and its report to the service manager.
//!
//! A heartbeat asks Docker and sends to the bus, each with a deadline. So heartbeats continue while Docker or the bus
//! is down. If they stop, the agent itself has hung, and the watchdog restarts it.

use std::time::Duration;

use tokio::sync::watch;
use zun_common::notify::{Health, ServiceManager};
use zun_common::shutdown::Tasks;

/// The result of the last heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentHealth {
    /// The number of heartbeats so far.
    pub beats: u64,
    /// Whether Docker answered.
    pub engine: bool,
    /// Whether the bus is connected and delivers this host's messages.
    pub bus: bool,
    /// Why consoles are not available; `None` if they are.
    pub no_console: Option<String>,
}

impl AgentHealth {
    fn summary(&self) -> Health {
        let Self { beats, engine, bus, no_console } = self;
        let mut words = vec![if *engine { "Docker answers" } else { "Docker does not answer" }];
        words.push(if *bus { "the bus is connected" } else { "the bus is not connected" });
        if let Some(why) = no_console {
            words.push(why);
        }
        Health { ready: *engine && *bus, alive: *beats > 0, status: words.join("; ") }
    }
}

/// Reports each heartbeat to the service manager, until shutdown. `every` is the heartbeat interval.
pub async fn report_to(
    mut changes: watch::Receiver<AgentHealth>,
    every: Duration,
    mut manager: ServiceManager,
    tasks: Tasks,
) {
    if every > manager.period() {
        let (every, third) = (every.as_secs(), manager.period().as_secs());
        tracing::warn!(
            "heartbeat.interval is {every} s, but heartbeats feed the watchdog: set it to at most {third} s, a third \
             of WatchdogSec"
        );
    }
    if changes.borrow().beats > 0 {
        // The first heartbeat may have finished before this task subscribed.
        changes.mark_changed();
    }
    loop {
        tokio::select! {
            () = tasks.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
        let health = changes.borrow_and_update().summary();
        manager.notify(&health);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_ready_with_docker_and_bus_and_alive_without_them() {
        let health =
            |engine, bus| AgentHealth { beats: 1, engine, bus, no_console: None }.summary();
        assert!(health(true, true).ready);
        for (engine, bus) in [(true, false), (false, true), (false, false)] {
            let health = health(engine, bus);
            assert!(!health.ready && health.alive, "{health:?}");
        }
        assert!(!AgentHealth::default().summary().alive);
    }

    #[test]
    fn the_status_says_why_consoles_are_not_available() {
        let state =
            AgentHealth { no_console: Some("no listener".to_owned()), ..AgentHealth::default() };
        assert!(state.summary().status.ends_with("; no listener"));
    }
}
