//! Times in OpenStack Zun's format: `YYYY-MM-DD HH:MM:SS.ffffff`, in UTC, without a zone.

use chrono::NaiveDateTime;
use serde::{Deserialize, Deserializer, Serializer, de::Error as _};

const FORMAT: &str = "%Y-%m-%d %H:%M:%S%.6f";
const READ: &str = "%Y-%m-%d %H:%M:%S%.f";

/// Formats a time.
pub fn text(time: NaiveDateTime) -> String {
    time.format(FORMAT).to_string()
}

/// Serializes an optional time.
pub fn serialize<S: Serializer>(time: &Option<NaiveDateTime>, out: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => out.collect_str(&time.format(FORMAT)),
        None => out.serialize_none(),
    }
}

/// Deserializes an optional time.
pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Option<NaiveDateTime>, D::Error> {
    Option::<String>::deserialize(input)?
        .map(|text| NaiveDateTime::parse_from_str(&text, READ).map_err(D::Error::custom))
        .transpose()
}
