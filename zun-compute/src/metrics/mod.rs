//! The agent's metrics in the `OpenMetrics` text format, which Prometheus reads. No label has a container's ID or name.

mod listener;

use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use zun_common::rpc::operation::Outcome;
use zun_common::status::Status;

pub(crate) use listener::serve;

use crate::health::AgentHealth;
use crate::report::Figures;

/// A label with one of a few values.
type Label = (&'static str, &'static str);
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The bounds of what Docker does, in seconds.
const DURATIONS: [f64; 10] = [0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];
/// The bounds of the delay of reports, in seconds.
const DELAYS: [f64; 8] = [0.005, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0];

fn duration() -> Histogram {
    Histogram::new(DURATIONS)
}

/// All metrics of the agent.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) heartbeats: Counter,
    pub(crate) report_delay: Histogram,
    operations: Histograms<[Label; 2]>,
    pulls: Histograms<[Label; 1]>,
    docker_up: Gauge,
    bus_connected: Gauge,
    console_up: Gauge,
    containers: Family<[Label; 1], Gauge>,
    sessions: Gauge,
    unacknowledged: Gauge,
    strays: Gauge,
}

impl Metrics {
    /// Creates all metrics at zero.
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("zun_compute"),
            heartbeats: Counter::default(),
            report_delay: Histogram::new(DELAYS),
            operations: Family::new_with_constructor(duration),
            pulls: Family::new_with_constructor(duration),
            docker_up: Gauge::default(),
            bus_connected: Gauge::default(),
            console_up: Gauge::default(),
            containers: Family::default(),
            sessions: Gauge::default(),
            unacknowledged: Gauge::default(),
            strays: Gauge::default(),
        };
        metrics.register_gauges();
        metrics.register_others();
        metrics
    }

    fn register_gauges(&mut self) {
        for (name, help, gauge) in [
            ("docker_up", "Whether Docker answered the last heartbeat", &self.docker_up),
            (
                "bus_connected",
                "Whether the bus is connected and delivers this host's messages",
                &self.bus_connected,
            ),
            ("console_up", "Whether consoles are available on the host", &self.console_up),
            ("sessions", "Open sessions", &self.sessions),
            (
                "reports_unacknowledged",
                "Containers with a report or an outcome that zun-api has not acknowledged",
                &self.unacknowledged,
            ),
            (
                "strays",
                "Containers of this cluster in Docker that zun-api does not know",
                &self.strays,
            ),
        ] {
            self.registry.register(name, help, gauge.clone());
        }
    }

    fn register_others(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of zun-compute", build);
        registry.register(
            "containers",
            "Containers of this host, by status",
            self.containers.clone(),
        );
        let heartbeats = "Heartbeats that zun-api has answered";
        registry.register("heartbeats", heartbeats, self.heartbeats.clone());
        registry.register_with_unit(
            "operation_duration",
            "Duration of an operation on the host; a create includes the image pull",
            Unit::Seconds,
            self.operations.clone(),
        );
        registry.register_with_unit(
            "pull_duration",
            "Duration of an image pull",
            Unit::Seconds,
            self.pulls.clone(),
        );
        registry.register_with_unit(
            "report_delay",
            "Time from a change of a container to the acknowledgement of its report by zun-api",
            Unit::Seconds,
            self.report_delay.clone(),
        );
    }

    /// Counts an operation that has ended.
    pub(crate) fn count_operation(&self, kind: &'static str, outcome: &Outcome, took: Duration) {
        let outcome = match outcome {
            Outcome::Succeeded => "succeeded",
            Outcome::Failed(_) => "failed",
            Outcome::Expired => "expired",
            Outcome::Unknown => "unknown",
        };
        let labels = [("kind", kind), ("outcome", outcome)];
        self.operations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts a pull that has ended.
    pub(crate) fn count_pull(&self, succeeded: bool, took: Duration) {
        let outcome = if succeeded { "succeeded" } else { "failed" };
        self.pulls.get_or_create(&[("outcome", outcome)]).observe(took.as_secs_f64());
    }

    /// Encodes all metrics.
    pub(crate) fn text(&self, health: &AgentHealth, figures: &Figures, strays: usize) -> String {
        let AgentHealth { beats: _, engine, bus, no_console } = health;
        self.docker_up.set(i64::from(*engine));
        self.bus_connected.set(i64::from(*bus));
        self.console_up.set(i64::from(no_console.is_none()));
        let Figures { statuses, sessions, unacknowledged } = figures;
        for status in Status::ALL.iter().filter(|status| **status != Status::Deleted) {
            let count = statuses.iter().filter(|one| *one == status).count();
            self.containers.get_or_create(&[("status", status.as_str())]).set(number(count));
        }
        self.sessions.set(i64::from(*sessions));
        self.unacknowledged.set(number(*unacknowledged));
        self.strays.set(number(strays));
        let mut text = String::new();
        // Writing to a string cannot fail.
        encode(&mut text, &self.registry).unwrap_or_default();
        text
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
