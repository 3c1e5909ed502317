//! Metrics in the `OpenMetrics` text format, which Prometheus reads. Labels contain no tenant data.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Labels of an answered request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    /// `GET`, `POST`, `DELETE` or `other`.
    pub(crate) method: &'static str,
    /// Pattern of the route, never the path.
    pub(crate) route: String,
    /// HTTP status.
    pub(crate) status: u32,
}

/// Outcome of an agent's report about a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum ReportOutcome {
    /// The row was updated.
    Applied,
    /// The container no longer exists, so its row was deleted.
    Gone,
    /// The row already has this state or a newer one.
    Stale,
    /// The sender or the container belongs to another host.
    Foreign,
    /// The container is not in the database.
    Missing,
    /// The database operation failed.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReportLabels {
    outcome: ReportOutcome,
}

/// All metrics.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Histogram,
    reports: Family<ReportLabels, Counter>,
    pub(crate) heartbeats: Counter,
    pub(crate) unknown_containers: Counter,
    pub(crate) grants: Counter,
    pub(crate) removals_given_up: Gauge,
    pub(crate) open: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) bus_connected: Gauge,
}

impl Metrics {
    /// Creates all metrics at zero, and adds the database's.
    pub(crate) fn new(writes: &Histogram) -> Self {
        let mut registry = Registry::with_prefix("zun_api");
        let requests = Family::default();
        let durations = Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0]);
        let reports = Family::default();
        let heartbeats = Counter::default();
        let unknown_containers = Counter::default();
        let grants = Counter::default();
        let (open, waiting, bus_connected) = (Gauge::default(), Gauge::default(), Gauge::default());
        registry.register("requests", "Answered requests", requests.clone());
        registry.register("request_seconds", "Time to the response", durations.clone());
        registry.register(
            "database_write_seconds",
            "Time of a commit to the database, with its work",
            writes.clone(),
        );
        registry.register("reports", "Reports about containers", reports.clone());
        registry.register("heartbeats", "Heartbeats of hosts", heartbeats.clone());
        registry.register(
            "unknown_containers",
            "Reports of containers that are not in the database",
            unknown_containers.clone(),
        );
        registry.register("grants", "Signed grants", grants.clone());
        let removals_given_up = Gauge::default();
        registry.register(
            "removals_given_up",
            "Open removals that five agents did not survive",
            removals_given_up.clone(),
        );
        registry.register("requests_open", "Requests in progress", open.clone());
        registry.register("requests_waiting", "Requests that wait for a status", waiting.clone());
        registry.register("bus_connected", "Whether the bus is connected", bus_connected.clone());
        Self {
            registry,
            requests,
            durations,
            reports,
            heartbeats,
            unknown_containers,
            grants,
            removals_given_up,
            open,
            waiting,
            bus_connected,
        }
    }

    /// Counts a response. `took` is `None` if the request waited for a status, because its duration is then not
    /// a latency.
    pub(crate) fn count_request(&self, kind: &RequestLabels, took: Option<Duration>) {
        self.requests.get_or_create(kind).inc();
        if let Some(took) = took {
            self.durations.observe(took.as_secs_f64());
        }
    }

    /// Counts a report.
    pub(crate) fn count_report(&self, outcome: ReportOutcome) {
        self.reports.get_or_create(&ReportLabels { outcome }).inc();
    }

    /// Encodes all metrics.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
