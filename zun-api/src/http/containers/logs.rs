//! `GET /v1/containers/{ident}/logs`: a JSON string, or raw bytes with `Accept: application/octet-stream`.

use actix_web::http::header::ACCEPT;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, NaiveDateTime, Utc};
use serde_json::{Value, json};
use zun_common::rpc::container::LogRequest;

use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller, InvalidField};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{Field, Kind, boolean_field, field, invalid_value};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};

/// The header for output whose beginning was dropped.
const TRUNCATED: (&str, &str) = ("x-zun-logs-cut", "true");

/// Selects a part of the output.
pub(in crate::http) struct Logs {
    request: LogRequest,
}

impl FromFields for Logs {
    const FIELDS: &'static [Field] = &[
        boolean_field("stdout", "Whether to return stdout; true if absent"),
        boolean_field("stderr", "Whether to return stderr; true if absent"),
        boolean_field("timestamps", "Whether each line begins with its time"),
        field(
            "tail",
            Kind::Custom(|| json!({"type": ["string", "integer"]})),
            "The number of lines from the end, or `all`",
        ),
        field(
            "since",
            Kind::Custom(|| json!({"type": ["string", "integer"]})),
            "Seconds since 1970, or a UTC time such as `2026-11-23 18:00:00,000`",
        ),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let request = LogRequest {
            stdout: fields.boolean("stdout").unwrap_or(true),
            stderr: fields.boolean("stderr").unwrap_or(true),
            timestamps: fields.flag("timestamps"),
            tail: tail(fields)?,
            since: since(fields)?,
        };
        Ok(Self { request })
    }
}

fn tail(fields: &mut Fields) -> Result<Option<u32>, InvalidField> {
    match fields.take("tail") {
        None => Ok(None),
        Some(Value::String(text)) if text == "all" => Ok(None),
        Some(value) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let lines = text.parse().ok().filter(|_| !text.starts_with('+'));
            lines.map(Some).ok_or_else(|| {
                invalid_value("tail", &value, "`all` or a number of lines from 0 to 4294967295")
            })
        }
    }
}

fn since(fields: &mut Fields) -> Result<Option<DateTime<Utc>>, InvalidField> {
    let Some(value) = fields.take("since") else { return Ok(None) };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = text.parse::<i64>().ok().filter(|_| is_whole);
    let seconds = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let time = || {
        let text = text.replace(',', ".");
        let time = NaiveDateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f").ok()?;
        Some(time.and_utc())
    };
    seconds.or_else(time).map(Some).ok_or_else(|| {
        invalid_value(
            "since",
            &value,
            "seconds since 1970, or a UTC time such as `2026-11-23 18:00:00,000`",
        )
    })
}

/// Returns a container's output.
pub(in crate::http) async fn logs(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    request: HttpRequest,
    input: Parsed<Logs>,
) -> ApiResult {
    let logs = app.logs(&caller, &ident, input.0.request).await?;
    let mut answer = if wants_bytes(&request) {
        HttpResponse::Ok().content_type("application/octet-stream").body(logs.data)
    } else {
        ok(&String::from_utf8_lossy(&logs.data))
    };
    if logs.truncated {
        let (name, value) = TRUNCATED;
        answer.headers_mut().insert(
            actix_web::http::header::HeaderName::from_static(name),
            actix_web::http::header::HeaderValue::from_static(value),
        );
    }
    Ok(answer)
}

fn wants_bytes(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains("application/octet-stream"))
}
