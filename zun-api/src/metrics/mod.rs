//! Metrics in the `OpenMetrics` text format, which Prometheus reads. Labels contain no tenant data, and each has few
//! values: no IDs, no names of hosts, no paths.

mod state;

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub(crate) use state::Snapshot;

use crate::db::operation::Ended;
use state::StateMetrics;

/// A label with one of a few values.
type Label = (&'static str, &'static str);

/// The bounds of latencies of the API, in seconds.
const LATENCIES: [f64; 10] = [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.5, 2.0, 10.0, 60.0];
/// The bounds of durations that depend on an engine, in seconds.
const DURATIONS: [f64; 10] = [0.05, 0.25, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0];

/// Labels of an answered request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    /// `GET`, `POST`, `DELETE`, `PATCH`, `PUT` or `other`.
    pub(crate) method: &'static str,
    /// Pattern of the route, or `none`. Never the path.
    pub(crate) route: String,
    /// HTTP status.
    pub(crate) code: u32,
}

/// Outcome of an agent's report about a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl ReportOutcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Gone => "gone",
            Self::Stale => "stale",
            Self::Foreign => "foreign",
            Self::Missing => "missing",
            Self::Failed => "failed",
        }
    }
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

fn latency() -> Histogram {
    Histogram::new(LATENCIES)
}

fn duration() -> Histogram {
    Histogram::new(DURATIONS)
}

/// All metrics.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Histograms<RequestLabels>,
    waits: Histograms<RequestLabels>,
    reports: Family<[Label; 1], Counter>,
    operations: Histograms<[Label; 2]>,
    state: StateMetrics,
    pub(crate) heartbeats: Counter,
    pub(crate) unknown_containers: Counter,
    pub(crate) grants: Counter,
    pub(crate) removals_stalled: Gauge,
    pub(crate) open: Gauge,
    pub(crate) waiting: Gauge,
    pub(crate) bus_connected: Gauge,
}

impl Metrics {
    /// Creates all metrics at zero, and adds the database's.
    pub(crate) fn new(writes: &Histogram) -> Self {
        let mut registry = Registry::with_prefix("zun_api");
        let metrics = Self {
            requests: Family::new_with_constructor(latency),
            waits: Family::new_with_constructor(duration),
            reports: Family::default(),
            operations: Family::new_with_constructor(duration),
            state: StateMetrics::register(&mut registry),
            heartbeats: Counter::default(),
            unknown_containers: Counter::default(),
            grants: Counter::default(),
            removals_stalled: Gauge::default(),
            open: Gauge::default(),
            waiting: Gauge::default(),
            bus_connected: Gauge::default(),
            registry: Registry::default(),
        };
        metrics.register(&mut registry, writes);
        Self { registry, ..metrics }
    }

    fn register(&self, registry: &mut Registry, writes: &Histogram) {
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of zun-api", build);
        self.register_requests(registry);
        let commit = "Duration of a database transaction that writes, including its commit";
        registry.register_with_unit("database_write", commit, Unit::Seconds, writes.clone());
        registry.register_with_unit(
            "operation_duration",
            "Time from accepting an operation until its outcome is stored",
            Unit::Seconds,
            self.operations.clone(),
        );
        for (name, help, counter) in [
            ("heartbeats", "Heartbeats of hosts", &self.heartbeats),
            (
                "unknown_containers",
                "Reports of containers that are not in the database",
                &self.unknown_containers,
            ),
            ("grants", "Signed grants", &self.grants),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register("reports", "Reports about containers", self.reports.clone());
        for (name, help, gauge) in [
            (
                "removals_stalled",
                "Open removals during which the host's agent has exited five times",
                &self.removals_stalled,
            ),
            ("requests_open", "Requests in progress", &self.open),
            (
                "requests_waiting",
                "Requests that wait for a status, a run or a creation",
                &self.waiting,
            ),
            ("bus_connected", "Whether the bus is connected", &self.bus_connected),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    fn register_requests(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "http_request_duration",
            "Time to the response, of requests that wait neither for a container nor for the work of a host",
            Unit::Seconds,
            self.requests.clone(),
        );
        registry.register_with_unit(
            "http_wait_duration",
            "Time to the response, of requests that wait for a status, a run, a creation, or the work of a host (stats, execute, \
             archives, commits, searches)",
            Unit::Seconds,
            self.waits.clone(),
        );
    }

    /// Counts a response, and how long it took. The time of a request that waits is not a latency.
    pub(crate) fn count_request(&self, kind: &RequestLabels, took: Duration, waits: bool) {
        let histograms = if waits { &self.waits } else { &self.requests };
        histograms.get_or_create(kind).observe(took.as_secs_f64());
    }

    /// Counts a report.
    pub(crate) fn count_report(&self, outcome: ReportOutcome) {
        self.reports.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    /// Counts the outcomes of operations.
    pub(crate) fn count_operations(&self, ended: impl IntoIterator<Item = Ended>) {
        for Ended { kind, outcome, took } in ended {
            let labels = [("kind", kind.as_str()), ("outcome", outcome.as_str())];
            self.operations.get_or_create(&labels).observe(took.as_secs_f64());
        }
    }

    /// Whether the values from the database must be read again. If so, the caller reads them and calls
    /// [`Metrics::set_state`].
    pub(crate) fn needs_state(&self) -> bool {
        self.state.is_due()
    }

    /// Sets what was read from the database. `None` if it did not answer.
    pub(crate) fn set_state(&self, snapshot: Option<&Snapshot>) {
        self.state.set(snapshot);
    }

    /// Encodes all metrics.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
