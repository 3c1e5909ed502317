//! `POST /v1/containers`

use actix_web::HttpResponse;
use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use serde_json::{Value, json};
use zun_common::api::v1::container::RestartPolicy;
use zun_common::restart::Restart;
use zun_common::rpc::container::ConsoleSpec;
use zun_common::units::{Cpus, Gibibytes, Mebibytes, Resources};

use super::attachments::{self, MOUNTS, NETS};
use super::bounds;
use super::exposed_ports::{self, EXPOSED_PORTS};
use super::hints::{self, HINTS};
use super::options::{self, ENGINE_OPTIONS, HEALTHCHECK};
use super::{CONSOLE_SIZE, PULL_POLICY, initial_size, pull_policy};
use crate::app::containers::NewContainer;
use crate::app::{App, AppError, Caller, InvalidField, Permission};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{
    Field, Kind, boolean_field, check_texts, field, invalid_value, text_field, whole, whole_field,
};
use crate::http::fields::Fields;
use crate::http::microversion::Microversion;
use crate::http::response::ApiResult;
use crate::http::rules;
use crate::http::view::{self, ViewContext};
use crate::settings::DefaultLimits;

/// The first microversion in which the command is a list.
const COMMAND_IS_A_LIST: Microversion = Microversion::new(20);
/// The first microversion in which `tty` does not follow `interactive`.
const TTY_IS_INDEPENDENT: Microversion = Microversion::new(36);

pub(super) const CPU: Field = {
    let (least, most) = DefaultLimits::CPUS;
    field("cpu", Kind::Decimal { least, most }, "CPUs")
};
pub(super) const MEMORY: Field = {
    let (least, most) = DefaultLimits::MEMORY;
    whole_field("memory", (least, most, " of MiB"), "Memory in MiB")
};
pub(in crate::http) const IMAGE_DRIVER: Field = field(
    "image_driver",
    Kind::NotOffered {
        has_no_effect: |driver| matches!(driver.as_str(), Some("docker" | "None" | "")),
        rule: "left out, empty or `docker`",
        reason: "Only the image driver `docker` is supported: hosts pull images from registries, not from Glance.",
    },
    "Not supported, except `docker`",
);
/// In a change of a container.
pub(super) const AUTO_HEAL: Field = unsupported(
    "auto_heal",
    |value| matches!(value, Value::Bool(false)) || is_text(value, "false"),
    "left out or false: only a new container can have it",
);

impl FromFields for NewContainer {
    const FIELDS: &'static [Field] = &[
        text_field("image", rules::IMAGE, "The image").required(),
        text_field("name", rules::NAME, "The name; random if absent"),
        boolean_field("run", "Start it").in_query(),
        field("command", Kind::Custom(command_schema), "The command; the image's if absent"),
        field(
            "entrypoint",
            Kind::Custom(words_schema),
            "Replacement for the image's entry point; an empty list removes it",
        )
        .since(40),
        CPU.about("CPUs. The default is 1, unless the operator has changed it")
            .defaults_to(|limits| json!(limits.cpu)),
        MEMORY
            .about("Memory in MiB. The default is 512, unless the operator has changed it")
            .defaults_to(|limits| json!(limits.memory)),
        whole_field("disk", (1, 160, " of GiB"), "Maximum size of its writable layer in GiB"),
        field(
            "environment",
            Kind::Pairs { names: rules::VARIABLE_NAME, values: rules::ARGUMENT, most: None },
            "Environment variables",
        ),
        field(
            "labels",
            Kind::Pairs {
                names: rules::LABEL_NAME,
                values: rules::ARGUMENT,
                most: Some(rules::LABELS),
            },
            "Labels; at most 256, and 64 KiB of keys and values",
        ),
        text_field("workdir", rules::DIRECTORY, "The working directory"),
        text_field("hostname", rules::HOSTNAME, "Host name inside the container").since(9),
        text_field("user", rules::USER, "The user to run as. Not in OpenStack Zun's API"),
        boolean_field("interactive", "Keep stdin open"),
        boolean_field("tty", "Allocate a terminal"),
        boolean_field(
            "stdin_once",
            "Close the process's stdin when the first attached client closes its input (Docker's `StdinOnce`). Not in OpenStack Zun's API",
        ),
        CONSOLE_SIZE,
        PULL_POLICY,
        field("restart_policy", Kind::Custom(restart_schema), "When the engine restarts it"),
        boolean_field("auto_remove", "Remove it when its process ends").since(3),
        boolean_field("read_only", "Mount its root read-only. Not in OpenStack Zun's API"),
        field(
            "stop_signal",
            Kind::Custom(|| json!({"type": "string"})),
            "The signal that stops it; SIGKILL follows. Not in OpenStack Zun's API",
        ),
        boolean_field("privileged", "Give it full access to the host (extended privileges)")
            .since(21)
            .only(Permission::Privileged),
        text_field("runtime", options::rules::PLUGIN, "The OCI runtime of the host's engine, such as `runsc`")
            .since(5)
            .only(Permission::ChooseRuntime),
        HEALTHCHECK,
        ENGINE_OPTIONS,
        EXPOSED_PORTS,
        text_field("host", rules::HOST_NAME, "The host to run on")
            .since(39)
            .only(Permission::ChooseHost),
        HINTS,
        NETS,
        MOUNTS,
        field(
            "security_groups",
            Kind::NotOffered {
                has_no_effect: is_empty,
                rule: "left out or empty",
                reason: "Security groups are not supported, because they need Neutron. Publish only the ports that others may reach.",
            },
            "Not supported",
        ),
        field(
            "record",
            Kind::Word(&["off", "best-effort", "required"]),
            "Whether its sessions are recorded on its host; the operator's setting if absent. Not in OpenStack Zun's API",
        ),
        boolean_field("auto_heal", "Restart it when its health check finds it unhealthy"),
        text_field(
            "registry",
            rules::SHORT_TEXT,
            "Name or UUID of the registry login; if absent, the project's login for the image's registry, if it has \
             exactly one",
        )
        .since(31),
        text_field("availability_zone", rules::ZONE, "The availability zone to run in"),
        unsupported("cpu_policy", |policy| policy.as_str() == Some("shared"), "`shared`").since(28),
        IMAGE_DRIVER,
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let request = fields.as_sent();
        let image = fields.text("image");
        let image = image
            .ok_or_else(|| AppError::Malformed("'image' is a required property".to_owned()))?;
        let auto_remove = fields.flag("auto_remove");
        let wanted = Self {
            name: fields.text("name"),
            host: fields.parsed("host"),
            availability_zone: fields.text("availability_zone"),
            hints: hints::read(fields)?,
            start: fields.flag("run"),
            image,
            pull: pull_policy(fields).unwrap_or_default(),
            command: command(fields)?,
            entrypoint: entrypoint(fields)?,
            environment: fields.pairs("environment"),
            labels: fields.pairs("labels"),
            workdir: fields.text("workdir"),
            hostname: fields.text("hostname"),
            user: fields.text("user"),
            console: console(fields)?,
            resources: resources(fields),
            restart: restart(fields, auto_remove)?,
            auto_remove,
            auto_heal: fields.flag("auto_heal"),
            read_only: fields.flag("read_only"),
            stop_signal: stop_signal(fields)?,
            privileged: fields.flag("privileged"),
            runtime: fields.text("runtime"),
            disk: fields.whole("disk").map(Gibibytes),
            healthcheck: options::healthcheck(fields)?,
            options: options::engine_options(fields)?,
            ports: exposed_ports::read(fields)?,
            registry: fields.text("registry"),
            mounts: attachments::mounts(fields)?,
            network: attachments::network(fields)?,
            record: fields.word("record").and_then(|word| word.parse().ok()),
            request,
        };
        let words = wanted.entrypoint.iter().flatten().chain(wanted.command.iter().flatten());
        bounds::check_words("command", words)?;
        bounds::check_variables(&wanted.environment)?;
        attachments::check_tmpfs(&wanted.mounts, wanted.options.tmpfs.keys())?;
        options::check_swap(&wanted.options, wanted.resources.memory)?;
        Ok(wanted)
    }
}

/// A field of OpenStack Zun's API that is refused unless its value has no effect.
const fn unsupported(
    name: &'static str,
    has_no_effect: fn(&Value) -> bool,
    rule: &'static str,
) -> Field {
    field(name, Kind::Unsupported { has_no_effect, rule }, "Not supported")
}

/// OpenStack's client sends some fields empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_text(value: &Value, wanted: &str) -> bool {
    value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(wanted))
}

fn words_schema() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn command_schema() -> Value {
    json!({"type": ["array", "string"], "items": {"type": "string"}})
}

/// Reads the field `command`. Before it became a list, it was a string that is split into words as in a shell.
fn command(fields: &mut Fields) -> Result<Option<Vec<String>>, InvalidField> {
    let value = fields.take("command");
    let words = match value {
        Some(Value::String(text)) if fields.version() < COMMAND_IS_A_LIST => {
            let words =
                shlex::split(&text).filter(|words| words.iter().all(|it| !it.contains('\0')));
            let rule = "a command whose quotes are closed, without NUL characters";
            Some(words.ok_or_else(|| InvalidField::new("command", &text, rule))?)
        }
        value => words("command", value)?,
    };
    Ok(words.filter(|words| !words.is_empty()))
}

/// Reads a list of words.
fn words(name: &str, value: Option<Value>) -> Result<Option<Vec<String>>, InvalidField> {
    let Some(value) = value else { return Ok(None) };
    check_texts((name, &rules::ARGUMENT), &value)?;
    let words = value.as_array().into_iter().flatten();
    Ok(Some(words.filter_map(|word| word.as_str().map(str::to_owned)).collect()))
}

/// Reads the field `entrypoint`. An empty list or string resets the image's entrypoint, as in Docker.
fn entrypoint(fields: &mut Fields) -> Result<Option<Vec<String>>, InvalidField> {
    let words = match fields.take("entrypoint") {
        Some(Value::String(text)) if text.is_empty() => return Ok(Some(Vec::new())),
        value => words("entrypoint", value)?,
    };
    Ok(words.map(|words| if words == [""] { Vec::new() } else { words }))
}

/// Before `tty` became independent, `interactive` decided it from 1.20 on.
fn console(fields: &mut Fields) -> Result<ConsoleSpec, InvalidField> {
    let (tty, interactive) = (fields.boolean("tty"), fields.boolean("interactive"));
    let follows = (COMMAND_IS_A_LIST..TTY_IS_INDEPENDENT).contains(&fields.version());
    let tty = if follows { interactive.or(tty) } else { tty };
    Ok(ConsoleSpec {
        tty: tty.unwrap_or(false),
        stdin_open: interactive.unwrap_or(false),
        stdin_once: fields.flag("stdin_once"),
        size: initial_size(fields)?,
    })
}

fn resources(fields: &mut Fields) -> Resources {
    let DefaultLimits { cpu, memory } = fields.defaults();
    Resources {
        cpus: Cpus::from(fields.decimal("cpu").unwrap_or(cpu)),
        memory: Mebibytes(fields.whole("memory").unwrap_or(memory)),
    }
}

fn restart_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "Name": {"enum": ["no", "always", "on-failure", "unless-stopped"]},
            "MaximumRetryCount": {"type": ["integer", "string"]},
        },
        "required": ["Name"],
        "additionalProperties": false,
    })
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
    let object = value.as_object()?;
    let is_known = |key: &String| matches!(key.as_str(), "Name" | "MaximumRetryCount");
    if !object.keys().all(is_known) {
        return None;
    }
    let name = object.get("Name")?.as_str().filter(|name| !name.is_empty())?.to_owned();
    let count = object.get("MaximumRetryCount").filter(|count| !count.is_null());
    let count = u32::try_from(count.map_or(Some(0), whole)?).ok()?;
    RestartPolicy { name, maximum_retry_count: count.to_string() }.try_into().ok()
}

fn stop_signal(fields: &mut Fields) -> Result<Option<String>, InvalidField> {
    let Some(value) = fields.take("stop_signal") else { return Ok(None) };
    let signal = value.as_str().and_then(rules::signal);
    signal.map(Some).ok_or_else(|| invalid_value("stop_signal", &value, rules::SIGNAL_RULE))
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
    use serde_json::Map;

    use super::*;

    fn read_at(version: u16, body: Value) -> Result<NewContainer, String> {
        let Value::Object(mut body) = body else { panic!("not an object") };
        body.insert("image".to_owned(), json!("cirros"));
        let fields = Fields::new(Vec::new(), Some(body));
        let version = Microversion::new(version);
        let fields = fields.check(NewContainer::FIELDS, (version, None));
        let read = fields.and_then(|mut fields| NewContainer::read(&mut fields));
        read.map_err(|refusal| refusal.to_string())
    }

    fn read(body: Value) -> Result<NewContainer, String> {
        read_at(40, body)
    }

    #[test]
    fn an_empty_entrypoint_differs_from_an_absent_one() {
        let read = |value| read(json!({"entrypoint": value})).map(|wanted| wanted.entrypoint);
        assert_eq!(read(json!(null)), Ok(None));
        for empty in [json!([]), json!(""), json!([""])] {
            assert_eq!(read(empty), Ok(Some(Vec::new())));
        }
        assert_eq!(read(json!(["sh", "-c"])), Ok(Some(vec!["sh".to_owned(), "-c".to_owned()])));
        assert!(read(json!("sh")).is_err());
    }

    #[test]
    fn a_command_is_a_string_before_1_20_and_a_list_since() {
        let words = |version, value| {
            read_at(version, json!({"command": value})).map(|wanted| wanted.command)
        };
        let expected = Some(vec!["echo".to_owned(), "a b".to_owned()]);
        assert_eq!(words(19, json!("echo 'a b'")), Ok(expected.clone()));
        assert_eq!(words(20, json!(["echo", "a b"])), Ok(expected));
        assert_eq!(words(1, json!("")), Ok(None));
        assert!(words(1, json!("echo '")).expect_err("open").contains("quotes are closed"));
        assert!(words(20, json!("echo")).expect_err("a string").contains("a list of strings"));
    }

    #[test]
    fn tty_follows_interactive_from_1_20_to_1_35() {
        let tty = |version, body| read_at(version, body).expect("a container").console.tty;
        let apart = json!({"interactive": true, "tty": false});
        assert!(!tty(19, apart.clone()));
        assert!(tty(20, apart.clone()));
        assert!(tty(35, json!({"interactive": true})));
        assert!(tty(35, json!({"tty": true})));
        assert!(!tty(36, apart));
        assert!(!tty(36, json!({"interactive": true})));
    }

    #[test]
    fn labels_are_few_and_small_because_every_list_has_them() {
        let labels = |count: usize, size: usize| {
            let label = |number| (format!("{number:03}"), json!("x".repeat(size)));
            let labels: Map<String, Value> = (0..count).map(label).collect();
            read(json!({"labels": labels})).map(|wanted| wanted.labels.len())
        };
        assert_eq!(labels(256, 253), Ok(256));
        insta::assert_snapshot!(labels(257, 1).expect_err("many"), @"Invalid input for field 'labels'. Value: '257 entries, 1028 bytes'. It must be an object with at most 256 entries, and 65536 bytes of keys and values.");
        insta::assert_snapshot!(labels(256, 254).expect_err("large"), @"Invalid input for field 'labels'. Value: '256 entries, 65792 bytes'. It must be an object with at most 256 entries, and 65536 bytes of keys and values.");
    }

    #[test]
    fn limits_are_numbers_that_docker_accepts() {
        let bad = ["nan", "NaN", "Infinity", "1e400", "0x10", " 1", "1_000", "", "-1", "0"];
        for bad in bad.map(|text| json!(text)).into_iter().chain([json!(-0.0), json!(5e-324)]) {
            let refusal = read(json!({"cpu": bad})).expect_err("no number");
            assert!(refusal.contains("a number from 0.1 to 16"), "{refusal}");
            let refusal = read(json!({"memory": bad})).expect_err("no number");
            assert!(refusal.contains("a whole number of MiB from 6 to 8192"), "{refusal}");
        }
        assert!(read(json!({"memory": 5})).is_err());
        let memory = read(json!({"memory": "6"})).map(|wanted| wanted.resources.memory);
        assert_eq!(memory, Ok(Mebibytes(6)));
    }
}
