//! `POST /v1/containers`

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use serde_json::Value;
use zun_common::api::v1::container::RestartPolicy;
use zun_common::rpc::container::{ConsoleSpec, PullPolicy};
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::first_size;
use crate::app::containers::NewContainer;
use crate::app::{App, AppError, Caller, Invalid};
use crate::http::answer::Answer;
use crate::http::extract::{Ask, Asked};
use crate::http::fields::{Fields, wrong};
use crate::http::rules;
use crate::http::view::{self, Viewer};

const USUAL_CPUS: f64 = 1.0;
const USUAL_MEMORY: u64 = 512;

impl Ask for NewContainer {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let image = fields
            .text("image", &rules::IMAGE)?
            .ok_or_else(|| AppError::Malformed("'image' is a required property".to_owned()))?;
        let auto_remove = fields.boolean("auto_remove")?.unwrap_or(false);
        let wanted = Self {
            name: fields.text("name", &rules::NAME)?,
            host: fields.parsed("host", rules::HOST_NAME)?,
            start: fields.boolean("run")?.unwrap_or(false),
            image,
            pull: pull(fields)?,
            command: fields.texts("command", &rules::WORD)?.filter(|words| !words.is_empty()),
            entrypoint: fields.texts("entrypoint", &rules::WORD)?.filter(|words| !words.is_empty()),
            environment: fields.pairs("environment", &rules::VARIABLE, &rules::WORD)?,
            labels: fields.pairs("labels", &rules::LABEL, &rules::WORD)?,
            workdir: fields.text("workdir", &rules::DIRECTORY)?,
            hostname: fields.text("hostname", &rules::HOSTNAME)?,
            user: fields.text("user", &rules::USER)?,
            console: console(fields)?,
            resources: resources(fields)?,
            restart: restart(fields, auto_remove)?,
            auto_remove,
            read_only: fields.boolean("read_only")?.unwrap_or(false),
            stop_signal: stop_signal(fields)?,
        };
        refuse_not_offered(fields)?;
        Ok(wanted)
    }
}

fn pull(fields: &mut Fields) -> Result<PullPolicy, Invalid> {
    let Some(value) = fields.take("image_pull_policy") else { return Ok(PullPolicy::default()) };
    match value.as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("always") => Ok(PullPolicy::Always),
        Some("ifnotpresent") => Ok(PullPolicy::IfNotPresent),
        Some("never") => Ok(PullPolicy::Never),
        Some(_) | None => {
            Err(wrong("image_pull_policy", &value, "`always`, `ifnotpresent` or `never`"))
        }
    }
}

fn console(fields: &mut Fields) -> Result<ConsoleSpec, Invalid> {
    Ok(ConsoleSpec {
        tty: fields.boolean("tty")?.unwrap_or(false),
        stdin_open: fields.boolean("interactive")?.unwrap_or(false),
        stdin_once: fields.boolean("stdin_once")?.unwrap_or(false),
        size: first_size(fields)?,
    })
}

fn resources(fields: &mut Fields) -> Result<Resources, Invalid> {
    let cpus = cpu(fields)?.unwrap_or(USUAL_CPUS);
    let memory = memory(fields)?.unwrap_or(USUAL_MEMORY);
    Ok(Resources { cpus: Cpus::from(cpus), memory: Mebibytes(memory) })
}

pub(super) fn cpu(fields: &mut Fields) -> Result<Option<f64>, Invalid> {
    fields.decimal("cpu", 0.1..=16.0)
}

pub(super) fn memory(fields: &mut Fields) -> Result<Option<u64>, Invalid> {
    fields.whole("memory", 4..=8192)
}

fn restart(fields: &mut Fields, auto_remove: bool) -> Result<Option<RestartPolicy>, Invalid> {
    let Some(value) = fields.take("restart_policy") else { return Ok(None) };
    let rule = "an object with a Name (no, always, on-failure or unless-stopped) and, for on-failure \
                alone, a MaximumRetryCount";
    let policy = policy(&value).ok_or_else(|| wrong("restart_policy", &value, rule))?;
    if auto_remove && policy.name != "no" {
        let rule = "`no` where `auto_remove` is true: one that is removed cannot be run again";
        return Err(wrong("restart_policy", &value, rule));
    }
    Ok(Some(policy))
}

fn policy(value: &Value) -> Option<RestartPolicy> {
    let mut fields = Fields::new(Vec::new(), Some(value.as_object()?.clone()));
    let name = fields.take("Name")?.as_str()?.to_owned();
    let count = fields.whole("MaximumRetryCount", 0..=u64::from(u32::MAX)).ok()?.unwrap_or(0);
    fields.finish().ok()?;
    let good = match name.as_str() {
        "on-failure" => true,
        "no" | "always" | "unless-stopped" => count == 0,
        _ => false,
    };
    good.then(|| RestartPolicy { name, maximum_retry_count: count.to_string() })
}

fn stop_signal(fields: &mut Fields) -> Result<Option<String>, Invalid> {
    let Some(value) = fields.take("stop_signal") else { return Ok(None) };
    let signal = value.as_str().and_then(rules::signal);
    signal.map(Some).ok_or_else(|| wrong("stop_signal", &value, rules::SIGNAL_WORDS))
}

/// What Zun has and this service has not. The existing client sends some of it along, empty.
fn refuse_not_offered(fields: &mut Fields) -> Result<(), Invalid> {
    let empty: fn(&Value) -> bool = |value| match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    };
    let off: fn(&Value) -> bool = |value| match value {
        Value::Bool(value) => !value,
        Value::String(text) => text.eq_ignore_ascii_case("false"),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    for name in ["hints", "nets", "mounts", "security_groups", "exposed_ports", "healthcheck"] {
        fields.not_offered(name, empty, "left out or empty: it is not offered yet")?;
    }
    for name in ["privileged", "auto_heal"] {
        fields.not_offered(name, off, "left out or false: it is not offered yet")?;
    }
    for name in ["disk", "runtime", "registry"] {
        fields.not_offered(name, |_| false, "left out: it is not offered yet")?;
    }
    fields.not_offered("availability_zone", |zone| zone.as_str() == Some("nova"), "`nova`")?;
    fields.not_offered("cpu_policy", |policy| policy.as_str() == Some("shared"), "`shared`")?;
    let docker: fn(&Value) -> bool = |driver| matches!(driver.as_str(), Some("docker" | "None"));
    fields.not_offered("image_driver", docker, "`docker`")
}

/// Makes a container.
pub(in crate::http) async fn create(
    app: Data<App>,
    caller: Caller,
    viewer: Viewer,
    ask: Asked<NewContainer>,
) -> Answer {
    let record = app.into_inner().create(&caller, ask.0).await?;
    let location = viewer.base.join(&format!("/v1/containers/{}", record.id));
    let shown = view::container(&record, &caller, &viewer.later());
    Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).json(shown))
}
