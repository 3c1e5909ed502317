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
        "state" => Some(json!({
            "Status": dockers_word(status),
            "Running": matches!(status, Status::Running | Status::Paused | Status::Restarting),
            "Paused": status == Status::Paused,
            "Restarting": status == Status::Restarting,
            "Dead": status == Status::Dead,
            "ExitCode": fields.get("exit_code").filter(|code| !code.is_null()).cloned().unwrap_or(json!(0)),
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
