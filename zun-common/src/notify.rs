//! What a service tells the service manager (systemd's notify protocol): that it is ready, how it fares,
//! that it lives, and that it ends. Where no service manager listens, nothing is told.
//!
//! The watchdog is fed by what the service found out about itself, and not by a timer: a service that no
//! longer finds out anything is started anew.

use std::time::Duration;

use sd_notify::NotifyState;

/// How often a service looks at itself where no watchdog says so.
const DEFAULT_PERIOD: Duration = Duration::from_secs(10);
/// Each look before the service is ready gives it so long until the next one.
const STARTUP_EXTENSION: Duration = Duration::from_mins(1);

/// How a service fares, as it found out itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What it needs is there. Looked at until it was so once: later, it waits for what goes away.
    pub ready: bool,
    /// It does its work. One that does not, for as long as the watchdog waits, is started anew.
    pub alive: bool,
    /// One line for a person.
    pub status: String,
}

/// The service manager, as one that was told something before.
#[derive(Debug)]
pub struct ServiceManager {
    watchdog: Option<Duration>,
    ready: bool,
    status: String,
}

impl ServiceManager {
    /// The one that started this process, if it listens.
    pub fn from_env() -> Option<Self> {
        std::env::var_os("NOTIFY_SOCKET")?;
        Some(Self::new(sd_notify::watchdog_enabled()))
    }

    const fn new(watchdog: Option<Duration>) -> Self {
        Self { watchdog, ready: false, status: String::new() }
    }

    /// How often health is to be told: three times before the watchdog bites.
    pub fn period(&self) -> Duration {
        self.watchdog.map_or(DEFAULT_PERIOD, |watchdog| watchdog / 3)
    }

    /// Whether the service was ready once.
    pub const fn is_ready(&self) -> bool {
        self.ready
    }

    /// Tells how the service fares.
    pub fn notify(&mut self, health: &Health) {
        send(&self.states(health));
    }

    fn states<'a>(&mut self, health: &'a Health) -> Vec<NotifyState<'a>> {
        let mut states = Vec::new();
        if health.ready && !self.ready {
            self.ready = true;
            states.push(NotifyState::Ready);
        }
        if health.alive && self.ready && self.watchdog.is_some() {
            states.push(NotifyState::Watchdog);
        }
        if health.alive && !self.ready {
            let more = u32::try_from(STARTUP_EXTENSION.as_micros()).unwrap_or(u32::MAX);
            states.push(NotifyState::ExtendTimeoutUsec(more));
        }
        if self.status != health.status {
            self.status.clone_from(&health.status);
            states.push(NotifyState::Status(&health.status));
        }
        states
    }
}

/// Tells the service manager, if one listens, that the service ends.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

fn send(states: &[NotifyState<'_>]) {
    if states.is_empty() {
        return;
    }
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(state: &str, status: &str) -> Health {
        Health {
            ready: state.contains("ready"),
            alive: state.contains("alive"),
            status: status.to_owned(),
        }
    }

    fn sent(manager: &mut ServiceManager, health: &Health) -> String {
        let states = manager.states(health);
        states.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    fn watched() -> ServiceManager {
        ServiceManager::new(Some(Duration::from_mins(1)))
    }

    #[test]
    fn ready_is_told_once_and_only_when_it_is_so() {
        let mut manager = watched();
        let waiting = sent(&mut manager, &health("alive", "waits"));
        assert_eq!(waiting, "EXTEND_TIMEOUT_USEC=60000000 STATUS=waits");
        assert_eq!(
            sent(&mut manager, &health("ready, alive", "serves")),
            "READY=1 WATCHDOG=1 STATUS=serves"
        );
        assert_eq!(sent(&mut manager, &health("ready, alive", "serves")), "WATCHDOG=1");
        assert_eq!(sent(&mut manager, &health("alive", "serves")), "WATCHDOG=1");
    }

    #[test]
    fn a_service_that_does_not_work_feeds_no_watchdog_and_is_given_no_time() {
        let mut manager = watched();
        assert_eq!(sent(&mut manager, &health("", "")), "");
        sent(&mut manager, &health("ready, alive", ""));
        assert_eq!(sent(&mut manager, &health("ready", "hangs")), "STATUS=hangs");
    }

    #[test]
    fn health_is_told_three_times_before_the_watchdog_bites() {
        assert_eq!(watched().period(), Duration::from_secs(20));
        assert_eq!(ServiceManager::new(None).period(), DEFAULT_PERIOD);
    }
}
