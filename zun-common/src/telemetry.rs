//! Logs: one line an event on stderr, text for people or JSON for collectors.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For collectors.
    Json,
}

/// What is logged and how.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `text` or `json`.
    pub format: LogFormat,
    /// Such as `info` or `info,zun_common::bus=debug`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// A log filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error(
    "log.filter `{filter}` cannot be read: it must be like `info` or `info,zun_common::bus=debug`"
)]
pub struct BadFilter {
    filter: String,
    #[source]
    cause: tracing_subscriber::filter::ParseError,
}

/// Sends all log lines of this process to stderr. A second call changes nothing.
pub fn init(settings: &LogSettings) -> Result<(), BadFilter> {
    // What the AMQP library meets, the bus tells in its own words; and the library logs a returned message
    // with its whole body, which may hold a user's secrets.
    let words = format!("lapin=off,{},lapin::returned_messages=off", settings.filter);
    let filter = EnvFilter::try_new(words)
        .map_err(|cause| BadFilter { filter: settings.filter.clone(), cause })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let set = match settings.format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    if set.is_err() {
        tracing::debug!("logs were set up before");
    }
    Ok(())
}
