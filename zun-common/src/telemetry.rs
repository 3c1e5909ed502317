//! Configures logging to stderr: one line per event, as text or JSON.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Readable text.
    #[default]
    Text,
    /// JSON objects, for log collectors.
    Json,
}

/// Settings of the log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// `text` or `json`.
    pub format: LogFormat,
    /// Filter such as `info` or `info,zun_common::bus=debug`.
    pub filter: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// The log filter is not valid.
#[derive(Debug, thiserror::Error)]
#[error(
    "log.filter `{filter}` is not valid: use a filter such as `info` or `info,zun_common::bus=debug`"
)]
pub struct BadFilter {
    filter: String,
    #[source]
    cause: tracing_subscriber::filter::ParseError,
}

/// Sends all log lines of this process to stderr. A second call has no effect.
pub fn init(settings: &LogSettings) -> Result<(), BadFilter> {
    // The bus logs lapin's errors itself. lapin would also log returned messages with their bodies, which may
    // contain users' secrets.
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
        tracing::debug!("logging was already set up");
    }
    Ok(())
}
