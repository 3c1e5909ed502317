//! Configures logging to stderr: one line per event, as text or JSON.

use std::borrow::Cow;
use std::io::{self, Write};

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

/// Writes each event as one line, whatever is in it. Text from others, such as the message of a database or a name, can
/// thus neither add a line nor control a terminal.
#[derive(Debug)]
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    /// Writes an event. The subscriber passes all of it at once.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(one_line(&String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Escapes the control characters of an event, except for the line break at its end.
fn one_line(event: &str) -> Cow<'_, str> {
    let (line, end) = event.strip_suffix('\n').map_or((event, ""), |line| (line, "\n"));
    if !line.contains(char::is_control) {
        return Cow::Borrowed(event);
    }
    let mut escaped = String::with_capacity(event.len() + 16);
    for character in line.chars() {
        if character.is_control() {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    escaped.push_str(end);
    Cow::Owned(escaped)
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
        .with_writer(|| OneLine(io::stderr()))
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("a lock").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_line_whatever_text_is_in_it() {
        let written = Written::default();
        let target = written.clone();
        let lines = tracing_subscriber::fmt()
            .with_writer(move || OneLine(target.clone()))
            .with_ansi(false)
            .without_time();
        tracing::subscriber::with_default(lines.finish(), || {
            let error = "the server closed the connection\n\tunexpectedly\r\n 2026 ERROR forged";
            tracing::info!(error = %error, "a name: {}", "x\u{1b}[2J\u{9b}2J");
            tracing::info!("größer");
        });
        let written = String::from_utf8(written.0.lock().expect("a lock").clone()).expect("text");
        let lines: Vec<&str> = written.lines().collect();
        assert_eq!(lines.len(), 2, "{written}");
        assert!(!written.replace('\n', "").contains(char::is_control), "{written:?}");
        assert!(lines.concat().contains(r"connection\n\tunexpectedly\r\n 2026"), "{written}");
        assert!(lines.concat().contains("größer"), "{written}");
    }
}
