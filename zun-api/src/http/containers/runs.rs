//! `GET /v1/containers/{ident}/runs`, and `POST /v1/containers/{ident}/wait`

use std::time::Duration;

use actix_web::web::Data;
use zun_common::api::v1::run::{RunList, Waited};

use super::show::{DEFAULT_WAIT, MAX_WAIT};
use crate::app::containers::{Ident, WaitForRun};
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, NoFields, Parsed};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};
use crate::http::view;

impl FromFields for WaitForRun {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let run = fields.whole("run", 1..=u64::from(u32::MAX))?;
        let timeout = fields.whole("timeout", 0..=MAX_WAIT)?.unwrap_or(DEFAULT_WAIT);
        Ok(Self {
            run: run.and_then(|number| i64::try_from(number).ok()),
            timeout: Duration::from_secs(timeout),
            begun: fields.boolean("begun")?.unwrap_or(false),
            explain: fields.boolean("explain")?.unwrap_or(false),
        })
    }
}

/// Lists the newest runs of a container.
pub(in crate::http) async fn list_runs(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    let (record, runs) = app.runs(&caller, &ident).await?;
    Ok(ok(&RunList { runs: runs.into_iter().map(|run| view::run(&record, run)).collect() }))
}

/// Waits for the end of a run.
pub(in crate::http) async fn wait(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<WaitForRun>,
) -> ApiResult {
    let (record, run) = app.wait_for_run(&caller, &ident, &input.0).await?;
    Ok(ok(&Waited { uuid: record.id, run: view::run(&record, run) }))
}
