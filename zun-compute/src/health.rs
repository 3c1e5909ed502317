//! What each heartbeat finds out about the agent itself, and the service manager that is told of it.
//!
//! A heartbeat asks the engine and tells the bus, each with a deadline. So an agent whose beats end is one
//! that works, also while the engine or the bus is away; one whose beats no longer end hangs.

use std::time::Duration;

use tokio::sync::watch;
use zun_common::notify::{Health, ServiceManager};
use zun_common::shutdown::Tasks;

/// What the last heartbeat found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentHealth {
    /// How many there were.
    pub beats: u64,
    /// The engine answered.
    pub engine: bool,
    /// The bus is connected, and brings this host's messages.
    pub bus: bool,
    /// Why consoles cannot be dialled, where they cannot.
    pub no_console: Option<String>,
}

impl AgentHealth {
    fn summary(&self) -> Health {
        let Self { beats, engine, bus, no_console } = self;
        let mut words =
            vec![if *engine { "the engine answers" } else { "the engine does not answer" }];
        words.push(if *bus { "the bus is connected" } else { "the bus is not connected" });
        if let Some(why) = no_console {
            words.push(why);
        }
        Health { ready: *engine && *bus, alive: *beats > 0, status: words.join("; ") }
    }
}

/// Tells the service manager of each heartbeat, which come `every` so often, until shutdown.
pub async fn report_to(
    mut changes: watch::Receiver<AgentHealth>,
    every: Duration,
    mut manager: ServiceManager,
    tasks: Tasks,
) {
    if every > manager.period() {
        let (every, third) = (every.as_secs(), manager.period().as_secs());
        tracing::warn!(
            "heartbeat.interval is {every} s; heartbeats feed the watchdog, so it must be at most {third} s, a third \
             of WatchdogSec"
        );
    }
    if changes.borrow().beats > 0 {
        // The first one may have come before anybody listened.
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
    fn an_agent_is_ready_when_engine_and_bus_are_there_and_lives_without_them() {
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
    fn a_person_is_told_why_consoles_cannot_be_dialled() {
        let state =
            AgentHealth { no_console: Some("no listener".to_owned()), ..AgentHealth::default() };
        assert!(state.summary().status.ends_with("; no listener"));
    }
}
