//! What the programs of Zun share: identifiers, units, statuses, API and RPC messages, the bus, and grants. It
//! contains no rule that only one program needs, and no database, web server or engine.
#![warn(missing_docs)]

pub mod atomic_file;
pub mod docker_errors;
pub mod docker_stream;
pub mod environment;
pub mod file_stamp;
pub mod grant;
pub mod id;
pub mod image_name;
pub mod log_records;
pub mod page;
pub mod recording;
pub mod secret;
pub mod session_notifier;
pub mod signal;
pub mod status;
pub mod terminal;
pub mod units;

#[cfg(feature = "messages")]
pub mod api;
#[cfg(feature = "service")]
pub mod backoff;
#[cfg(feature = "bus")]
pub mod bus;
#[cfg(feature = "client-certificate")]
pub mod client_certificate;
#[cfg(feature = "messages")]
pub mod committed;
#[cfg(feature = "messages")]
pub mod engine_options;
#[cfg(feature = "pty")]
pub mod gate_control;
#[cfg(feature = "service")]
pub mod notify;
#[cfg(feature = "pki")]
pub mod pki;
#[cfg(feature = "messages")]
pub mod ports;
#[cfg(feature = "pty")]
pub mod pty;
#[cfg(feature = "messages")]
pub mod resource;
#[cfg(feature = "messages")]
pub mod restart;
#[cfg(feature = "messages")]
pub mod rpc;
#[cfg(feature = "screen")]
pub mod screen;
#[cfg(feature = "service")]
pub mod settings;
#[cfg(feature = "service")]
pub mod shutdown;
#[cfg(feature = "service")]
pub mod telemetry;

/// Formats an error and all its causes, joined by `: `, for a log line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        words.push_str(": ");
        words.push_str(&inner.to_string());
        cause = inner.source();
    }
    words
}
