//! The JSON of containers in results.

use serde_json::Value;
use zun_common::api::v1::container::Container;

use crate::out::{GIB, MIB, Unit, with_units};

/// The fields whose names here carry units.
const UNITS: [Unit; 8] = [
    ("memory", "memory_bytes", MIB),
    ("disk", "disk_bytes", GIB),
    ("engine_options.memory_swap", "memory_swap_bytes", MIB),
    ("engine_options.shm_size", "shm_size_bytes", MIB),
    ("engine_options.stop_timeout", "stop_timeout_seconds", 1),
    ("healthcheck.interval", "interval_seconds", 1),
    ("healthcheck.timeout", "timeout_seconds", 1),
    ("healthcheck.start_period", "start_period_seconds", 1),
];

/// Returns the JSON of a container. `host` is null if the caller may not know it.
pub(super) fn record(container: &Container) -> Value {
    let mut record = with_units(container, &UNITS);
    if let Some(fields) = record.as_object_mut() {
        fields.entry("host").or_insert(Value::Null);
    }
    record
}

/// Returns the JSON of several containers.
pub(super) fn records(containers: &[Container]) -> Vec<Value> {
    containers.iter().map(record).collect()
}
