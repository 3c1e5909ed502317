//! `POST /v1/containers`

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use serde_json::Value;
use zun_common::api::v1::container::RestartPolicy;
use zun_common::restart::Restart;
use zun_common::rpc::container::{ConsoleSpec, PullPolicy};
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::{exposed_ports, initial_size, options};
use crate::app::containers::NewContainer;
use crate::app::{App, AppError, Caller, InvalidField};
use crate::http::extract::{FromFields, Parsed};
use crate::http::fields::{Fields, invalid_value};
use crate::http::response::ApiResult;
use crate::http::rules;
use crate::http::view::{self, ViewContext};

const DEFAULT_CPUS: f64 = 1.0;
const DEFAULT_MEMORY: u64 = 512;
/// The minimum memory, in MiB, that Docker accepts.
const MIN_MEMORY: u64 = 6;
const MAX_MEMORY: u64 = 8192;

impl FromFields for NewContainer {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let image = fields
            .text("image", &rules::IMAGE)?
            .ok_or_else(|| AppError::Malformed("'image' is a required property".to_owned()))?;
        let auto_remove = fields.boolean("auto_remove")?.unwrap_or(false);
        let wanted = Self {
            name: fields.text("name", &rules::NAME)?,
            host: fields.parsed("host", rules::HOST_NAME_RULE)?,
            start: fields.boolean("run")?.unwrap_or(false),
            image,
            pull: pull(fields)?,
            command: fields.texts("command", &rules::ARGUMENT)?.filter(|words| !words.is_empty()),
            entrypoint: entrypoint(fields)?,
            environment: fields.pairs("environment", &rules::VARIABLE_NAME, &rules::ARGUMENT)?,
            labels: fields.pairs("labels", &rules::LABEL_NAME, &rules::ARGUMENT)?,
            workdir: fields.text("workdir", &rules::DIRECTORY)?,
            hostname: fields.text("hostname", &rules::HOSTNAME)?,
            user: fields.text("user", &rules::USER)?,
            console: console(fields)?,
            resources: resources(fields)?,
            restart: restart(fields, auto_remove)?,
            auto_remove,
            read_only: fields.boolean("read_only")?.unwrap_or(false),
            stop_signal: stop_signal(fields)?,
            privileged: fields.boolean("privileged")?.unwrap_or(false),
            runtime: options::runtime(fields)?,
            disk: options::disk(fields)?,
            healthcheck: options::healthcheck(fields)?,
            options: options::engine_options(fields)?,
            ports: exposed_ports::read(fields)?,
        };
        options::check_swap(&wanted.options, wanted.resources.memory)?;
        refuse_unsupported_fields(fields)?;
        Ok(wanted)
    }
}

/// Reads the field `entrypoint`. An empty list or string resets the image's entrypoint, as in Docker.
fn entrypoint(fields: &mut Fields) -> Result<Option<Vec<String>>, InvalidField> {
    let words = match fields.take("entrypoint") {
        Some(Value::String(text)) if text.is_empty() => return Ok(Some(Vec::new())),
        value => Fields::texts_of("entrypoint", value, &rules::ARGUMENT)?,
    };
    Ok(words.map(|words| if words == [""] { Vec::new() } else { words }))
}

fn pull(fields: &mut Fields) -> Result<PullPolicy, InvalidField> {
    let Some(value) = fields.take("image_pull_policy") else { return Ok(PullPolicy::default()) };
    match value.as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("always") => Ok(PullPolicy::Always),
        Some("ifnotpresent") => Ok(PullPolicy::IfNotPresent),
        Some("never") => Ok(PullPolicy::Never),
        Some(_) | None => {
            Err(invalid_value("image_pull_policy", &value, "`always`, `ifnotpresent` or `never`"))
        }
    }
}

fn console(fields: &mut Fields) -> Result<ConsoleSpec, InvalidField> {
    Ok(ConsoleSpec {
        tty: fields.boolean("tty")?.unwrap_or(false),
        stdin_open: fields.boolean("interactive")?.unwrap_or(false),
        stdin_once: fields.boolean("stdin_once")?.unwrap_or(false),
        size: initial_size(fields)?,
    })
}

fn resources(fields: &mut Fields) -> Result<Resources, InvalidField> {
    let cpus = cpu(fields)?.unwrap_or(DEFAULT_CPUS);
    let memory = memory(fields)?.unwrap_or(DEFAULT_MEMORY);
    Ok(Resources { cpus: Cpus::from(cpus), memory: Mebibytes(memory) })
}

pub(super) fn cpu(fields: &mut Fields) -> Result<Option<f64>, InvalidField> {
    fields.decimal("cpu", 0.1..=16.0)
}

pub(super) fn memory(fields: &mut Fields) -> Result<Option<u64>, InvalidField> {
    let rule = format!("a whole number of MiB from {MIN_MEMORY} to {MAX_MEMORY}");
    fields.whole_number("memory", MIN_MEMORY..=MAX_MEMORY, &rule)
}

fn restart(fields: &mut Fields, auto_remove: bool) -> Result<Option<Restart>, InvalidField> {
    let Some(value) = fields.take("restart_policy") else { return Ok(None) };
    let rule = "an object with a Name (no, always, on-failure or unless-stopped) and, only for \
                on-failure, a MaximumRetryCount";
    let restart = policy(&value).ok_or_else(|| invalid_value("restart_policy", &value, rule))?;
    if auto_remove && restart != Restart::No {
        let rule = "`no` if `auto_remove` is true, because a removed container cannot restart";
        return Err(invalid_value("restart_policy", &value, rule));
    }
    Ok(Some(restart))
}

fn policy(value: &Value) -> Option<Restart> {
    let mut fields = Fields::new(Vec::new(), Some(value.as_object()?.clone()));
    let name = fields.take("Name")?.as_str().filter(|name| !name.is_empty())?.to_owned();
    let count = fields.whole("MaximumRetryCount", 0..=u64::from(u32::MAX)).ok()?.unwrap_or(0);
    fields.finish().ok()?;
    RestartPolicy { name, maximum_retry_count: count.to_string() }.try_into().ok()
}

fn stop_signal(fields: &mut Fields) -> Result<Option<String>, InvalidField> {
    let Some(value) = fields.take("stop_signal") else { return Ok(None) };
    let signal = value.as_str().and_then(rules::signal);
    signal.map(Some).ok_or_else(|| invalid_value("stop_signal", &value, rules::SIGNAL_RULE))
}

/// Refuses fields of OpenStack Zun's API that are not supported. OpenStack's client sends some of them empty.
fn refuse_unsupported_fields(fields: &mut Fields) -> Result<(), InvalidField> {
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
    for name in ["hints", "nets", "mounts", "security_groups"] {
        fields.refuse_unsupported(name, empty, "left out or empty: it is not supported yet")?;
    }
    fields.refuse_unsupported("auto_heal", off, "left out or false: it is not supported yet")?;
    fields.refuse_unsupported("registry", |_| false, "left out: it is not supported yet")?;
    fields.refuse_unsupported(
        "availability_zone",
        |zone| zone.as_str() == Some("nova"),
        "`nova`",
    )?;
    fields.refuse_unsupported(
        "cpu_policy",
        |policy| policy.as_str() == Some("shared"),
        "`shared`",
    )?;
    let docker: fn(&Value) -> bool = |driver| matches!(driver.as_str(), Some("docker" | "None"));
    fields.refuse_unsupported("image_driver", docker, "`docker`")
}

/// Creates a container.
pub(in crate::http) async fn create(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    input: Parsed<NewContainer>,
) -> ApiResult {
    let record = Box::pin(app.into_inner().create(&caller, input.0)).await?;
    let location = view_context.base.join(&format!("/v1/containers/{}", record.id));
    let shown = view::container(&record, &caller, &view_context.refreshed());
    Ok(HttpResponse::Accepted().insert_header((LOCATION, location)).json(shown))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(value: Value) -> Fields {
        let Value::Object(object) = value else { panic!("not an object") };
        Fields::new(Vec::new(), Some(object))
    }

    #[test]
    fn an_empty_entrypoint_differs_from_an_absent_one() {
        let read = |value| entrypoint(&mut fields(json!({"entrypoint": value})));
        assert_eq!(read(json!(null)), Ok(None));
        for empty in [json!([]), json!(""), json!([""])] {
            assert_eq!(read(empty), Ok(Some(Vec::new())));
        }
        assert_eq!(read(json!(["sh", "-c"])), Ok(Some(vec!["sh".to_owned(), "-c".to_owned()])));
        assert!(read(json!("sh")).is_err());
    }

    #[test]
    fn limits_are_numbers_that_docker_accepts() {
        let bad = ["nan", "NaN", "Infinity", "1e400", "0x10", " 1", "1_000", "", "-1", "0"];
        for bad in bad.map(|text| json!(text)).into_iter().chain([json!(-0.0), json!(5e-324)]) {
            let refusal = cpu(&mut fields(json!({"cpu": bad}))).expect_err("no number");
            assert!(refusal.to_string().contains("a number from 0.1 to 16"), "{refusal}");
            let refusal = memory(&mut fields(json!({"memory": bad}))).expect_err("no number");
            assert!(
                refusal.to_string().contains("a whole number of MiB from 6 to 8192"),
                "{refusal}"
            );
        }
        assert!(memory(&mut fields(json!({"memory": 5}))).is_err());
        assert_eq!(memory(&mut fields(json!({"memory": "6"}))), Ok(Some(6)));
    }
}
