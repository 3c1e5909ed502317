//! `POST /v1/containers/{ident}/execute`, and `…/execute_resize`, `…/execute_attach` and `…/execute_kill` for
//! an existing exec. The last two are not in OpenStack Zun's API.
//!
//! OpenStack's clients send `command` (one string), `run` and `interactive` in the query. The client `zun` sends a
//! JSON object.

use actix_web::web::Data;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zun_common::api::v1::exec::Executed;
use zun_common::id::ExecId;
use zun_common::rpc::exec::{ExecOutput, ExecSpec};
use zun_common::units::TerminalSize;

use super::{COLUMNS, CONSOLE_SIZE, CSR, ROWS, SIGNAL, bounds, csr, initial_size, signal, size};
use crate::app::containers::{Exec, Execution, Ident};
use crate::app::{App, AppError, Caller, InvalidField, Permission};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{
    Field, Kind, boolean_field, field, invalid_value, text_field, texts_field,
};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, done, ok};
use crate::http::rules::{self, ASSIGNMENT, DIRECTORY, PROTOCOL, USER};

const COMMAND: &str = "a command of at least one word";

impl FromFields for Exec {
    const FIELDS: &'static [Field] = &[
        field(
            "command",
            Kind::Custom(
                || json!({"type": ["string", "array"], "items": {"type": "string"}, "minLength": 1}),
            ),
            "The command: a list of words, or a string that is split into words as in a shell",
        )
        .required()
        .in_query(),
        boolean_field(
            "run",
            "Run it to completion and return its output, instead of creating an exec; true without a body",
        )
        .in_query(),
        boolean_field("interactive", "Keep stdin open").in_query(),
        boolean_field("tty", "Allocate a terminal; like `interactive` if absent"),
        texts_field("environment", ASSIGNMENT, "Environment variables"),
        text_field("user", USER, "The user, and optionally the group, to run as"),
        text_field("workdir", DIRECTORY, "The working directory"),
        boolean_field("privileged", "Run with all capabilities").only(Permission::ExecutePrivileged),
        CONSOLE_SIZE,
        CSR,
        PROTOCOLS,
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let run_by_default = !fields.has_body();
        let run = fields.boolean("run").unwrap_or(run_by_default);
        let interactive = fields.flag("interactive");
        let tty = fields.boolean("tty").unwrap_or(interactive);
        let spec = ExecSpec {
            command: command(fields)?,
            // A command that is run to completion has neither.
            tty: tty && !run,
            stdin: interactive && !run,
            environment: fields.texts("environment").unwrap_or_default(),
            user: fields.text("user"),
            workdir: fields.text("workdir"),
            privileged: fields.flag("privileged"),
            size: initial_size(fields)?,
        };
        bounds::check_words("command", &spec.command)?;
        bounds::check_words("environment", &spec.environment)?;
        let csr = fields.text("csr");
        if run && csr.is_some() {
            let rule = "left out if `run` is true, because there is no exec to connect to";
            return Err(InvalidField::new("csr", "…", rule).into());
        }
        let protocols = fields.texts("protocols").unwrap_or_default();
        Ok(Self { spec, run, csr, protocols })
    }
}

/// Reads the field `command`: a list of words, or a string that is split into words as in a shell.
fn command(fields: &mut Fields) -> Result<Vec<String>, InvalidField> {
    let value = fields.take("command").ok_or_else(|| InvalidField::missing("command", COMMAND))?;
    let words = match &value {
        Value::String(text) => shlex::split(text),
        Value::Array(words) => {
            words.iter().map(|word| word.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    let plain = |words: &Vec<String>| {
        words.first().is_some_and(|first| !first.is_empty())
            && words.iter().all(|word| !word.contains('\0'))
    };
    words.filter(plain).ok_or_else(|| invalid_value("command", &value, COMMAND))
}

/// Runs a command, or creates an exec.
pub(in crate::http) async fn execute(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Exec>,
) -> ApiResult {
    Ok(ok(&shown(app.execute(&caller, &ident, input.0).await?)))
}

fn shown(execution: Execution) -> Executed {
    match execution {
        Execution::Ran(output) => {
            let ExecOutput { exec: _, stdout, stderr, exit_code, truncated } = output;
            let mut merged = String::from_utf8_lossy(&stdout).into_owned();
            merged.push_str(&String::from_utf8_lossy(&stderr));
            Executed {
                output: Some(merged),
                exit_code: Some(exit_code),
                exec_id: None,
                proxy_url: None,
                stdout: Some(STANDARD.encode(stdout)),
                stderr: Some(STANDARD.encode(stderr)),
                truncated: Some(truncated),
                console: None,
            }
        }
        Execution::Created { exec, console, address } => Executed {
            output: None,
            exit_code: None,
            exec_id: Some(exec.to_string()),
            proxy_url: address,
            stdout: None,
            stderr: None,
            truncated: None,
            console: console.map(|console| *console),
        },
    }
}

/// A resize request.
pub(in crate::http) struct ExecuteResize {
    exec: ExecId,
    size: TerminalSize,
}

impl FromFields for ExecuteResize {
    const FIELDS: &'static [Field] = &[EXEC_ID, ROWS, COLUMNS];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { exec: exec(fields)?, size: size(fields)? })
    }
}

const PROTOCOLS: Field = texts_field(
    "protocols",
    PROTOCOL,
    "Console protocols of a client that connects to the exec, the preferred one first; `docker.exec` if absent",
);

/// The ID of an exec.
const EXEC_ID: Field =
    text_field("exec_id", rules::EXEC_ID, "The engine's ID of the exec").required().in_query();

/// Reads the field `exec_id`, which must be there.
fn exec(fields: &mut Fields) -> Result<ExecId, InvalidField> {
    fields.parsed("exec_id").ok_or_else(|| fields.missing("exec_id"))
}

/// Sets the size of an exec's terminal.
pub(in crate::http) async fn execute_resize(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<ExecuteResize>,
) -> ApiResult {
    let ExecuteResize { exec, size } = input.0;
    app.execute_resize(&caller, &ident, exec, size).await?;
    Ok(done())
}

/// A request for access to an existing exec.
pub(in crate::http) struct ExecuteAttach {
    exec: ExecId,
    csr: String,
    protocols: Vec<String>,
}

impl FromFields for ExecuteAttach {
    const FIELDS: &'static [Field] = &[EXEC_ID, CSR.required(), PROTOCOLS];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let protocols = fields.texts("protocols").unwrap_or_default();
        Ok(Self { csr: csr(fields)?, exec: exec(fields)?, protocols })
    }
}

/// Grants access to an existing exec.
pub(in crate::http) async fn execute_attach(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<ExecuteAttach>,
) -> ApiResult {
    let ExecuteAttach { exec, csr, protocols } = input.0;
    Ok(ok(&app.execute_attach(&caller, &ident, exec, (&csr, &protocols)).await?))
}

/// A signal for an exec.
pub(in crate::http) struct ExecuteKill {
    exec: ExecId,
    signal: String,
}

impl FromFields for ExecuteKill {
    const FIELDS: &'static [Field] = &[EXEC_ID, SIGNAL];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { exec: exec(fields)?, signal: signal(fields)? })
    }
}

/// Sends a signal to the process of an exec.
pub(in crate::http) async fn execute_kill(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<ExecuteKill>,
) -> ApiResult {
    let ExecuteKill { exec, signal } = input.0;
    app.execute_kill(&caller, &ident, exec, signal).await?;
    Ok(done())
}
