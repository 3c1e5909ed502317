//! Notifies the service manager (systemd's notify protocol) when the service is ready, alive and stopping. Does
//! nothing without a service manager.
//!
//! The watchdog depends on the service's health checks, not on a timer: if the checks hang, systemd restarts
//! the service.

use std::path::PathBuf;
use std::time::Duration;

use sd_notify::NotifyState;

/// Interval of the health checks without a watchdog.
const DEFAULT_PERIOD: Duration = Duration::from_secs(10);
/// Each check before the service is ready extends systemd's start timeout by this.
const STARTUP_EXTENSION: Duration = Duration::from_mins(1);

/// The result of a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Everything that the service needs is available. Sent to systemd only the first time, because the service keeps
    /// running through later outages.
    pub ready: bool,
    /// The service works. systemd restarts it if it is not alive for the watchdog's timeout.
    pub alive: bool,
    /// One line for `systemctl status`.
    pub status: String,
}

/// The service manager, and the state last sent to it.
#[derive(Debug)]
pub struct ServiceManager {
    watchdog: Option<Duration>,
    ready: bool,
    status: String,
}

impl ServiceManager {
    /// Returns the service manager that started this process, if it set `NOTIFY_SOCKET`.
    pub fn from_env() -> Option<Self> {
        socket()?;
        Some(Self::new(sd_notify::watchdog_enabled()))
    }

    const fn new(watchdog: Option<Duration>) -> Self {
        Self { watchdog, ready: false, status: String::new() }
    }

    /// How often to notify: three times within the watchdog's timeout.
    pub fn period(&self) -> Duration {
        self.watchdog.map_or(DEFAULT_PERIOD, |watchdog| watchdog / 3)
    }

    /// Whether the service has ever been ready.
    pub const fn is_ready(&self) -> bool {
        self.ready
    }

    /// Sends the result of a health check.
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

/// The socket of the service manager that started this process.
pub fn socket() -> Option<PathBuf> {
    std::env::var_os("NOTIFY_SOCKET").map(Into::into)
}

/// Notifies the service manager, if there is one, that the service is stopping.
pub fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

fn send(states: &[NotifyState<'_>]) {
    if states.is_empty() {
        return;
    }
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot notify the service manager");
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
    fn ready_is_sent_once_and_only_when_the_service_is_ready() {
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
    fn a_service_that_is_not_alive_neither_feeds_the_watchdog_nor_gets_more_time() {
        let mut manager = watched();
        assert_eq!(sent(&mut manager, &health("", "")), "");
        sent(&mut manager, &health("ready, alive", ""));
        assert_eq!(sent(&mut manager, &health("ready", "hangs")), "STATUS=hangs");
    }

    #[test]
    fn health_is_sent_three_times_within_the_watchdog_timeout() {
        assert_eq!(watched().period(), Duration::from_secs(20));
        assert_eq!(ServiceManager::new(None).period(), DEFAULT_PERIOD);
    }
}
