//! Gauges of what is in the database: containers, hosts, capacity and open operations. With several zun-api on one
//! database, all of them show the same.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use zun_common::status::Status;

use super::Label;
use crate::db::host::{Liveness, Record};
use crate::db::operation::Kind;

/// Older values are read again from the database. The limit exists because anyone may request the metrics.
const MAX_AGE: Duration = Duration::from_secs(5);

const MIB: f64 = 1_048_576.0;
const GIB: f64 = 1_073_741_824.0;

type Number = Gauge<f64, AtomicU64>;
type Gauges = Family<[Label; 1], Gauge>;
type Numbers = Family<[Label; 1], Number>;

/// What the gauges show.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// The database's time.
    pub(crate) now: NaiveDateTime,
    /// The number of containers that are not deleted, by status.
    pub(crate) containers: Vec<(String, i64)>,
    pub(crate) hosts: Vec<(Record, Liveness)>,
    /// The number of open operations, and when the oldest was accepted, by kind.
    pub(crate) operations: Vec<(String, i64, Option<NaiveDateTime>)>,
}

/// The state of a host: the first of these that applies.
const HOST_STATES: [&str; 5] = ["down", "recovering", "engine_down", "disabled", "up"];

fn state(host: &Record, liveness: Liveness) -> &'static str {
    match liveness {
        Liveness::NoHeartbeat(_) | Liveness::ClockSetBack | Liveness::Left | Liveness::Forced => {
            "down"
        }
        Liveness::Up if host.is_recovering() => "recovering",
        Liveness::Up if !host.engine_up => "engine_down",
        Liveness::Up if host.disabled => "disabled",
        Liveness::Up => "up",
    }
}

/// The gauges.
pub(super) struct StateMetrics {
    read_at: Mutex<Option<Instant>>,
    database_up: Gauge,
    containers: Gauges,
    hosts: Gauges,
    no_console: Gauge,
    strays: Gauge,
    cpus: [Numbers; 2],
    memory: [Numbers; 2],
    disk: [Numbers; 2],
    operations: Gauges,
    oldest: Numbers,
}

impl StateMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            read_at: Mutex::default(),
            database_up: Gauge::default(),
            containers: Family::default(),
            hosts: Family::default(),
            no_console: Gauge::default(),
            strays: Gauge::default(),
            cpus: Default::default(),
            memory: Default::default(),
            disk: Default::default(),
            operations: Family::default(),
            oldest: Family::default(),
        };
        metrics.register_counts(registry);
        metrics.register_resources(registry);
        metrics
    }

    fn register_counts(&self, registry: &mut Registry) {
        let up = "Whether the database answered when its state was last read";
        registry.register("database_up", up, self.database_up.clone());
        registry.register("containers", "Containers, by status", self.containers.clone());
        registry.register(
            "hosts",
            "Hosts, by state; each host has exactly one state",
            self.hosts.clone(),
        );
        registry.register(
            "hosts_without_console",
            "Hosts in state up without console access",
            self.no_console.clone(),
        );
        registry.register(
            "strays",
            "Stray containers: of this cluster on hosts, but not in the database",
            self.strays.clone(),
        );
        registry.register(
            "operations_open",
            "Operations without an outcome, by kind",
            self.operations.clone(),
        );
        registry.register_with_unit(
            "operation_oldest_age",
            "Age of the oldest operation without an outcome, by kind; 0 if there is none",
            Unit::Seconds,
            self.oldest.clone(),
        );
    }

    fn register_resources(&self, registry: &mut Registry) {
        let cpus = || Unit::Other("cpus".to_owned());
        for (name, unit, what, [capacity, claimed]) in [
            ("cpu", cpus(), "CPUs", &self.cpus),
            ("memory", Unit::Bytes, "Memory", &self.memory),
            ("disk", Unit::Bytes, "Disk", &self.disk),
        ] {
            let (of_hosts, of_claims) = (
                format!(
                    "{what} of hosts that containers may claim, before overcommitment, by state of the host"
                ),
                format!("{what} that containers have claimed, by state of their host"),
            );
            registry.register_with_unit(
                format!("{name}_capacity"),
                of_hosts,
                unit.clone(),
                capacity.clone(),
            );
            registry.register_with_unit(
                format!("{name}_claimed"),
                of_claims,
                unit,
                claimed.clone(),
            );
        }
    }

    /// Whether the state is too old. If it is, it counts as read from now on.
    pub(super) fn is_due(&self) -> bool {
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = read_at.is_none_or(|at| at.elapsed() >= MAX_AGE);
        if is_due {
            *read_at = Some(Instant::now());
        }
        is_due
    }

    /// Shows a snapshot. Without one, the gauges disappear.
    pub(super) fn set(&self, snapshot: Option<&Snapshot>) {
        self.database_up.set(i64::from(snapshot.is_some()));
        for gauges in [&self.containers, &self.hosts, &self.operations] {
            gauges.clear();
        }
        self.oldest.clear();
        for numbers in [&self.cpus, &self.memory, &self.disk].into_iter().flatten() {
            numbers.clear();
        }
        if let Some(snapshot) = snapshot {
            self.show_containers(snapshot);
            self.show_hosts(snapshot);
            self.show_operations(snapshot);
        }
    }

    fn show_containers(&self, snapshot: &Snapshot) {
        for status in Status::ALL.iter().filter(|status| **status != Status::Deleted) {
            let found = snapshot.containers.iter().find(|(name, _)| name == status.as_str());
            let count = found.map_or(0, |(_, count)| *count);
            self.containers.get_or_create(&[("status", status.as_str())]).set(count);
        }
    }

    fn show_hosts(&self, snapshot: &Snapshot) {
        for state in HOST_STATES {
            let label = [("state", state)];
            self.hosts.get_or_create(&label).set(0);
            for numbers in [&self.cpus, &self.memory, &self.disk].into_iter().flatten() {
                numbers.get_or_create(&label).set(0.0);
            }
        }
        let (mut strays, mut no_console) = (0, 0);
        for (host, liveness) in &snapshot.hosts {
            let state = state(host, *liveness);
            self.hosts.get_or_create(&[("state", state)]).inc();
            strays += host.strays.len();
            no_console += i64::from(state == "up" && host.console.is_none());
            self.add_resources(host, state);
        }
        self.strays.set(i64::try_from(strays).unwrap_or(i64::MAX));
        self.no_console.set(no_console);
    }

    fn add_resources(&self, host: &Record, state: &'static str) {
        let add = |numbers: &Numbers, amount: f64| {
            numbers.get_or_create(&[("state", state)]).inc_by(amount);
        };
        let ([cpus, used_cpus], [memory, used_memory], [disk, used_disk]) =
            (&self.cpus, &self.memory, &self.disk);
        add(cpus, f64::from(host.total.cpus.millis()) / 1000.0);
        add(used_cpus, f64::from(host.used.claimed.cpus.millis()) / 1000.0);
        add(memory, as_float(host.total.memory.0) * MIB);
        add(used_memory, as_float(host.used.claimed.memory.0) * MIB);
        add(disk, as_float(host.disk.0) * GIB);
        add(used_disk, as_float(host.used.disk.0) * GIB);
    }

    fn show_operations(&self, snapshot: &Snapshot) {
        for kind in Kind::ALL.iter().filter(|kind| !kind.is_access()) {
            let name = kind.as_str();
            let found = snapshot.operations.iter().find(|(known, _, _)| known == name);
            let (count, oldest) = found.map_or((0, None), |(_, count, oldest)| (*count, *oldest));
            let age = oldest.and_then(|oldest| (snapshot.now - oldest).to_std().ok());
            self.operations.get_or_create(&[("kind", name)]).set(count);
            let age = age.unwrap_or_default().as_secs_f64();
            self.oldest.get_or_create(&[("kind", name)]).set(age);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a metric is a floating-point number")]
const fn as_float(amount: u64) -> f64 {
    amount as f64
}
