//! Merges our keys into Docker's settings file. All other keys keep their order and formatting.
//!
//! All functions are pure: they convert text to text, or return an error.

use std::path::{Path, PathBuf};

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstRootNode};
use serde_json::{Map, Value, json};

use super::PLUGIN;
use crate::certificate::CertificateFiles;
use crate::driver::docker::RUNTIME;

const HOSTS: &str = "hosts";
const LIVE_RESTORE: &str = "live-restore";
const PLUGINS: &str = "authorization-plugins";
const RUNTIMES: &str = "runtimes";
const ICC: &str = "icc";
/// Where Docker listens by default.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// The settings to merge.
#[derive(Debug, Clone)]
pub(super) struct ListenerSettings {
    /// Our TCP listener, such as `tcp://0.0.0.0:2376`.
    pub(super) socket: String,
    /// The server certificate, its key, and the CAs of clients.
    pub(super) files: CertificateFiles,
    /// The hosts that the command line sets with `-H`; they move to daemon.json.
    pub(super) command_hosts: Vec<String>,
    /// Whether our drop-in already starts Docker without `-H`.
    pub(super) hosts_moved: bool,
    /// The authorization plugins that the running Docker asks.
    pub(super) active_plugins: Vec<String>,
    /// The path of `zun-runtime`, if this Docker cannot set the initial terminal size itself.
    pub(super) runtime: Option<PathBuf>,
    /// Whether containers of the default bridge are to be kept from each other, unless the file says something about that.
    pub(super) separate: bool,
}

/// Why our settings cannot be merged.
#[derive(Debug, thiserror::Error)]
pub enum DaemonJsonError {
    /// The file is not JSON.
    #[error("it is not JSON")]
    NotJson(#[from] serde_json::Error),
    /// The file is JSON, but not an object.
    #[error("it must be a JSON object")]
    NotAnObject,
    /// A key has the wrong type.
    #[error("`{key}` must be {rule}")]
    Type {
        /// The key.
        key: &'static str,
        /// The required value.
        rule: &'static str,
    },
    /// A TLS key is in use with another value.
    #[error(
        "`{key}` is already {value}: all TLS listeners share it, so change it to {wanted} or remove it"
    )]
    Taken {
        /// The key.
        key: &'static str,
        /// The current value.
        value: String,
        /// The required value.
        wanted: String,
    },
    /// Docker does not start if both the command line and daemon.json set hosts.
    #[error(
        "`hosts` is set, and docker.service starts Docker with `-H {0}`: Docker refuses both together, so remove one"
    )]
    HostsInBoth(String),
    /// `hosts` has a TCP listener that is not ours.
    #[error(
        "`hosts` has another TCP listener `{0}`: remove it first, because the TLS settings of Zun would apply to it"
    )]
    ForeignListener(String),
    /// Docker does not start with a plugin that does not answer.
    #[error(
        "`authorization-plugins` has `{0}`, which the running Docker does not use: restart Docker first, or \
         remove the plugin"
    )]
    InactivePlugin(String),
    /// Another runtime has the name of ours.
    #[error(
        "`runtimes` already has `{RUNTIME}` as {value}; it must be {wanted}: rename or remove the runtime"
    )]
    ForeignRuntime {
        /// The current value.
        value: String,
        /// The required value.
        wanted: String,
    },
    /// A key occurs twice.
    #[error("`{0}` occurs twice: remove one")]
    DuplicateKey(String),
}

/// Returns the text with our keys. `last` is the text that docker-setup wrote last time.
pub(super) fn merge(
    text: Option<&str>,
    wanted: &ListenerSettings,
    last: Option<&str>,
) -> Result<String, DaemonJsonError> {
    let known = parsed(text)?;
    let ours = parsed(last).unwrap_or_default();
    let mut keys = vec![
        (HOSTS, json!(hosts(&known, wanted, &ours)?)),
        (PLUGINS, json!(plugins(&known, &wanted.active_plugins)?)),
        (LIVE_RESTORE, json!(true)),
    ];
    // Docker does not start with `icc` off if it may not write rules.
    let may_separate = !known.contains_key(ICC) && known.get("iptables") != Some(&json!(false));
    if wanted.separate && may_separate {
        keys.push((ICC, json!(false)));
    }
    let CertificateFiles { ca, certificate, key } = &wanted.files;
    let tls = [
        ("tlsverify", json!(true)),
        ("tlscacert", json!(ca)),
        ("tlscert", json!(certificate)),
        ("tlskey", json!(key)),
    ];
    for (key, value) in tls {
        check_unused(&known, &ours, (key, &value))?;
        keys.push((key, value));
    }
    if let Some(value) = known.get("tls").filter(|value| **value != json!(true)) {
        let (value, wanted) = (value.to_string(), "true".to_owned());
        return Err(DaemonJsonError::Taken { key: "tls", value, wanted });
    }
    let runtime = wanted.runtime.as_deref().map(|program| runtime(&known, &ours, program));
    let text = set_keys(text, &keys)?;
    match runtime.transpose()? {
        Some(entry) => set_runtime(text, &entry),
        None => Ok(text),
    }
}

/// Whether the settings have a runtime with the name of ours.
pub(super) fn has_runtime(text: Option<&str>) -> bool {
    parsed(text).is_ok_and(|known| runtime_in(&known).is_some())
}

/// Returns the text with live-restore switched on or off, and nothing else changed.
pub(super) fn with_live_restore(text: Option<&str>, on: bool) -> Result<String, DaemonJsonError> {
    set_keys(text, &[(LIVE_RESTORE, json!(on))])
}

/// Whether these settings switch live-restore on, so that containers survive a restart of Docker.
pub(super) fn has_live_restore(text: Option<&str>) -> Result<bool, DaemonJsonError> {
    Ok(parsed(text)?.get(LIVE_RESTORE) == Some(&json!(true)))
}

/// Whether the settings have this listener.
pub(super) fn listens(text: Option<&str>, socket: &str) -> bool {
    let known = parsed(text).unwrap_or_default();
    let hosts = known.get(HOSTS).and_then(Value::as_array);
    hosts.into_iter().flatten().any(|host| host == socket)
}

/// Parses the text. A missing or blank file has no keys.
fn parsed(text: Option<&str>) -> Result<Map<String, Value>, DaemonJsonError> {
    match text.filter(|text| !text.trim().is_empty()) {
        None => Ok(Map::new()),
        Some(text) => match serde_json::from_str(text)? {
            Value::Object(keys) => Ok(keys),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(DaemonJsonError::NotAnObject),
        },
    }
}

fn hosts(
    known: &Map<String, Value>,
    wanted: &ListenerSettings,
    ours: &Map<String, Value>,
) -> Result<Vec<String>, DaemonJsonError> {
    let mut hosts = match (strings(known, HOSTS)?, wanted.command_hosts.first()) {
        (Some(_), Some(host)) if !wanted.hosts_moved => {
            return Err(DaemonJsonError::HostsInBoth(host.clone()));
        }
        (Some(listed), _) => listed,
        (None, Some(_)) => wanted.command_hosts.clone(),
        (None, None) => vec![DEFAULT_HOST.to_owned()],
    };
    let before: Vec<String> = strings(ours, HOSTS).ok().flatten().unwrap_or_default();
    hosts.retain(|host| *host == wanted.socket || !(is_tcp(host) && before.contains(host)));
    if let Some(other) = hosts.iter().find(|host| is_tcp(host) && **host != wanted.socket) {
        return Err(DaemonJsonError::ForeignListener(other.clone()));
    }
    if !hosts.contains(&wanted.socket) {
        hosts.push(wanted.socket.clone());
    }
    Ok(hosts)
}

/// Whether a host is a TCP listener. Docker treats an address without a scheme as TCP.
fn is_tcp(host: &str) -> bool {
    !host.starts_with("unix://") && !host.starts_with("fd://")
}

fn plugins(known: &Map<String, Value>, asked: &[String]) -> Result<Vec<String>, DaemonJsonError> {
    let mut plugins = strings(known, PLUGINS)?.unwrap_or_default();
    if let Some(dead) = plugins.iter().find(|plugin| *plugin != PLUGIN && !asked.contains(plugin)) {
        return Err(DaemonJsonError::InactivePlugin(dead.clone()));
    }
    if !plugins.iter().any(|plugin| plugin == PLUGIN) {
        plugins.push(PLUGIN.to_owned());
    }
    Ok(plugins)
}

fn strings(
    known: &Map<String, Value>,
    key: &'static str,
) -> Result<Option<Vec<String>>, DaemonJsonError> {
    let Some(value) = known.get(key) else { return Ok(None) };
    let listed = value.as_array().and_then(|list| {
        list.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
    });
    listed.map(Some).ok_or(DaemonJsonError::Type { key, rule: "a list of strings" })
}

fn check_unused(
    known: &Map<String, Value>,
    ours: &Map<String, Value>,
    (key, wanted): (&'static str, &Value),
) -> Result<(), DaemonJsonError> {
    match known.get(key) {
        Some(value) if value != wanted && ours.get(key) != Some(value) => {
            let (value, wanted) = (value.to_string(), wanted.to_string());
            Err(DaemonJsonError::Taken { key, value, wanted })
        }
        Some(_) | None => Ok(()),
    }
}

fn runtime_in(known: &Map<String, Value>) -> Option<&Value> {
    known.get(RUNTIMES)?.get(RUNTIME)
}

/// Returns the entry for our runtime, unless another runtime has its name.
fn runtime(
    known: &Map<String, Value>,
    ours: &Map<String, Value>,
    program: &Path,
) -> Result<Value, DaemonJsonError> {
    if known.get(RUNTIMES).is_some_and(|all| !all.is_object()) {
        return Err(DaemonJsonError::Type { key: RUNTIMES, rule: "an object" });
    }
    // No arguments: with arguments Docker would run a generated script. Docker deletes the script together with the
    // entry, but running containers still need it.
    let wanted = json!({ "path": program });
    match runtime_in(known) {
        Some(there) if *there != wanted && runtime_in(ours) != Some(there) => {
            let (value, wanted) = (there.to_string(), wanted.to_string());
            Err(DaemonJsonError::ForeignRuntime { value, wanted })
        }
        Some(_) | None => Ok(wanted),
    }
}

/// Adds our runtime to the text. Other runtimes stay as they are.
fn set_runtime(text: String, entry: &Value) -> Result<String, DaemonJsonError> {
    if runtime_in(&parsed(Some(&text))?) == Some(entry) {
        return Ok(text);
    }
    let root = CstRootNode::parse(&text, &ParseOptions::default()).ok();
    let object = root.as_ref().and_then(CstRootNode::object_value);
    let (Some(root), Some(object)) = (root, object) else {
        return Err(DaemonJsonError::NotAnObject);
    };
    let runtimes = object.object_value_or_set(RUNTIMES);
    match runtimes.get(RUNTIME) {
        Some(there) => there.set_value(input(entry)),
        None => drop(runtimes.append(RUNTIME, input(entry))),
    }
    let after = root.to_string();
    let is_set = runtime_in(&parsed(Some(&after))?) == Some(entry);
    if is_set { Ok(after) } else { Err(DaemonJsonError::DuplicateKey(RUNTIMES.to_owned())) }
}

fn set_keys(text: Option<&str>, keys: &[(&'static str, Value)]) -> Result<String, DaemonJsonError> {
    let known = parsed(text)?;
    let blank = text.is_none_or(|text| text.trim().is_empty());
    let start = text.filter(|_| !blank).unwrap_or("{}\n");
    let Ok(root) = CstRootNode::parse(start, &ParseOptions::default()) else {
        return Err(DaemonJsonError::NotAnObject);
    };
    let object = root.object_value().ok_or(DaemonJsonError::NotAnObject)?;
    if blank {
        object.ensure_multiline();
    }
    for (key, value) in keys.iter().filter(|(key, value)| known.get(*key) != Some(value)) {
        match object.get(key) {
            Some(there) => there.set_value(input(value)),
            None => drop(object.append(key, input(value))),
        }
    }
    let after = root.to_string();
    let read = parsed(Some(&after))?;
    match keys.iter().find(|(key, value)| read.get(*key) != Some(value)) {
        Some((key, _)) => Err(DaemonJsonError::DuplicateKey((*key).to_owned())),
        None => Ok(after),
    }
}

fn input(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(flag) => CstInputValue::Bool(*flag),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(items) => CstInputValue::Array(items.iter().map(input).collect()),
        Value::Object(keys) => CstInputValue::Object(
            keys.iter().map(|(key, value)| (key.clone(), input(value))).collect(),
        ),
    }
}
