//! Fields of containers that templates for `docker inspect` use: `.State.Running`, `.Config.Image`, `.Id`.

use serde_json::{Map, Value, json};
use zun_common::status::Status;

/// Returns the object or the value that Docker has under this name, in the form of [`super::record::normal`]. `None` if
/// the record is not a container, or if Docker's name stands for nothing here.
pub(super) fn docker_field(fields: &Map<String, Value>, name: &str) -> Option<Value> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    let field = |key: &str| fields.get(key).cloned().unwrap_or_default();
    let status: Status = text("status")?.parse().ok()?;
    match name {
        "id" => Some(field("uuid")),
        "created" => Some(field("created_at")),
        "networksettings" => Some(network_settings(fields)),
        "state" => Some(json!({
            "Status": dockers_word(status),
            "Running": matches!(status, Status::Running | Status::Paused | Status::Restarting),
            "Paused": status == Status::Paused,
            "Restarting": status == Status::Restarting,
            "Dead": status == Status::Dead,
            "ExitCode": exit_code(fields, status),
            "Error": text("status_reason").unwrap_or_default(),
            "StartedAt": field("started_at"),
            "FinishedAt": field("finished_at"),
            "Health": { "Status": text("health").unwrap_or("none") },
        })),
        "config" => Some(json!({
            "Image": field("image"),
            "Cmd": field("command"),
            "Entrypoint": field("entrypoint"),
            "Env": environment(fields),
            "Hostname": field("hostname"),
            "Labels": field("labels"),
            "Tty": field("tty"),
            "OpenStdin": field("interactive"),
            "User": field("user"),
            "WorkingDir": field("workdir"),
        })),
        _ => None,
    }
}

/// Like Docker, 0 while it runs. The record has the code of the last run that has ended.
fn exit_code(fields: &Map<String, Value>, status: Status) -> Value {
    let runs = matches!(status, Status::Running | Status::Paused);
    let code = fields.get("exit_code").filter(|code| !runs && !code.is_null());
    code.cloned().unwrap_or(json!(0))
}

/// The first address in each network. Docker's field without a network is that of the default network.
fn network_settings(fields: &Map<String, Value>) -> Value {
    let networks = fields.get("addresses").and_then(Value::as_object).into_iter().flatten();
    let first = |addresses: &Value| addresses.pointer("/0/addr").cloned().unwrap_or(json!(""));
    let networks: Map<String, Value> = networks
        .map(|(name, addresses)| (name.clone(), json!({ "IPAddress": first(addresses) })))
        .collect();
    let own = networks.get("bridge").and_then(|network| network.get("IPAddress"));
    json!({ "IPAddress": own.cloned().unwrap_or(json!("")), "Networks": networks })
}

/// The variables as Docker lists them: `NAME=VALUE`.
fn environment(fields: &Map<String, Value>) -> Vec<String> {
    let variables = fields.get("environment").and_then(Value::as_object).into_iter().flatten();
    variables
        .map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default()))
        .collect()
}

/// The status in Docker's words.
const fn dockers_word(status: Status) -> &'static str {
    match status {
        Status::Creating | Status::Created => "created",
        Status::Running => "running",
        Status::Paused => "paused",
        Status::Restarting => "restarting",
        Status::Stopped | Status::Rebuilding => "exited",
        Status::Deleting | Status::Deleted => "removing",
        Status::Dead | Status::Error => "dead",
        Status::Unknown => "unknown",
    }
}
