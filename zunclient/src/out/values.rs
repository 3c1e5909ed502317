//! The JSON of results. Keys carry units, and times are those of RFC 3339 with their zone.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Number, Value};

/// Bytes in a MiB.
pub(crate) const MIB: u64 = 1 << 20;
/// Bytes in a GiB.
pub(crate) const GIB: u64 = 1 << 30;

/// A field of the API, its name in results, and the factor of its unit.
pub(crate) type Unit = (&'static str, &'static str, u64);

/// Returns the JSON of a response, where these fields have other names and units. A field of an object in the response, or
/// of each object of a list in it, is written `object.field`. In a field that is an object, all numbers get the unit. -1,
/// which means unlimited, stays.
pub(crate) fn with_units(response: &impl Serialize, units: &[Unit]) -> Value {
    let mut value = serde_json::to_value(response).unwrap_or_default();
    for (path, name, factor) in units {
        let (holder, field) = match path.split_once('.') {
            Some((parent, field)) => (value.get_mut(parent), field),
            None => (Some(&mut value), *path),
        };
        let holders = match holder {
            Some(Value::Array(several)) => several.as_mut_slice(),
            Some(one) => std::slice::from_mut(one),
            None => &mut [],
        };
        for fields in holders.iter_mut().filter_map(Value::as_object_mut) {
            if let Some(held) = fields.remove(field) {
                fields.insert((*name).to_owned(), multiplied(held, *factor));
            }
        }
    }
    value
}

fn multiplied(value: Value, factor: u64) -> Value {
    if let Value::Object(fields) = value {
        let fields = fields.into_iter().map(|(name, value)| (name, multiplied(value, factor)));
        return Value::Object(fields.collect());
    }
    let number = match &value {
        // OpenStack Zun's memory is a text.
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.as_u64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    match number.and_then(|number| number.checked_mul(factor)) {
        Some(product) => Value::Number(product.into()),
        None => fraction(&value, factor).unwrap_or(value),
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive number of bytes, rounded"
)]
fn fraction(value: &Value, factor: u64) -> Option<Value> {
    let number = value.as_f64().filter(|number| *number >= 0.0)?;
    Some(Value::Number(Number::from((number * factor as f64).round() as u64)))
}

/// Makes times those of RFC 3339, and removes links. The names of times end with `_at`, `_time` or `_up`.
pub(super) fn normal(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            remove_links(fields);
            // What users named is not changed.
            let fields = fields.iter_mut().filter(|(name, _)| !is_users(name));
            for (name, value) in fields {
                match value.as_str().filter(|_| is_time(name)).and_then(time) {
                    Some(time) => *value = Value::String(time),
                    None => normal(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(normal),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn remove_links(fields: &mut Map<String, Value>) {
    let are_links = fields
        .get("links")
        .and_then(Value::as_array)
        .is_some_and(|links| links.iter().all(|link| link.get("href").is_some()));
    if are_links {
        fields.remove("links");
    }
}

fn is_users(name: &str) -> bool {
    matches!(name, "labels" | "environment")
}

fn is_time(name: &str) -> bool {
    ["_at", "_time", "_up"].iter().any(|end| name.ends_with(end))
}

/// The API's times have no zone; they are in UTC.
fn time(text: &str) -> Option<String> {
    let read = |format| NaiveDateTime::parse_from_str(text, format).ok();
    let time = read("%Y-%m-%d %H:%M:%S%.f").or_else(|| read("%Y-%m-%dT%H:%M:%S%.f"))?;
    let time = DateTime::<Utc>::from_naive_utc_and_offset(time, Utc);
    Some(time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_carry_units_and_times_carry_their_zone() {
        let response = json!({
            "memory": "512", "disk": 0, "used": 1.5, "options": { "swap": -1, "shm": 2 },
            "links": [{ "href": "http://a" }], "created_at": "2026-11-29 06:00:01.250000",
            "events": [{ "start_time": "2026-11-29T06:00:01.250000" }], "started_at": null,
            "labels": { "made_at": "2026-11-29 06:00:01" },
            "quota": { "in_use": 2, "limit": -1 }, "strays": [{ "memory": 1 }, { "memory": 2 }],
        });
        let units = [
            ("memory", "memory_bytes", MIB),
            ("disk", "disk_bytes", GIB),
            ("used", "used_bytes", 1024),
            ("options.swap", "swap_bytes", MIB),
            ("options.shm", "shm_bytes", MIB),
            ("none", "none_bytes", MIB),
            ("quota", "quota_bytes", 1024),
            ("strays.memory", "memory_bytes", 1024),
        ];
        let mut value = with_units(&response, &units);
        normal(&mut value);
        let expected = json!({
            "memory_bytes": 536_870_912, "disk_bytes": 0, "used_bytes": 1536,
            "options": { "swap_bytes": -1, "shm_bytes": 2_097_152 },
            "created_at": "2026-11-29T06:00:01.250000Z",
            "events": [{ "start_time": "2026-11-29T06:00:01.250000Z" }], "started_at": null,
            "labels": { "made_at": "2026-11-29 06:00:01" },
            "quota_bytes": { "in_use": 2048, "limit": -1 },
            "strays": [{ "memory_bytes": 1024 }, { "memory_bytes": 2048 }],
        });
        assert_eq!(value, expected);
    }
}
