//! `GET /v1/containers/{ident}/runs`, and `POST /v1/containers/{ident}/wait`

use std::time::Duration;

use actix_web::web::Data;
use zun_common::api::v1::run::{RunList, Waited};

use super::show::{DEFAULT_WAIT, MAX_WAIT};
use crate::app::containers::{Ident, WaitForRun};
use crate::app::{App, AppError, Caller};
use crate::http::extract::{FromFields, NoFields, Parsed};
use crate::http::field::{Field, boolean_field, whole_field};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};
use crate::http::view;

impl FromFields for WaitForRun {
    const FIELDS: &'static [Field] = &[
        whole_field("run", (1, u32::MAX as u64, ""), "The number of the run; the newest if absent"),
        whole_field("timeout", (0, MAX_WAIT, " of seconds"), "Seconds to wait; 30 if absent"),
        boolean_field("begun", "Wait only until the run has begun"),
        boolean_field(
            "explain",
            "If SIGKILL ended the process, wait up to one more second to find out whether it ran out of memory",
        ),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self {
            run: fields.whole("run"),
            timeout: Duration::from_secs(fields.whole("timeout").unwrap_or(DEFAULT_WAIT)),
            begun: fields.flag("begun"),
            explain: fields.flag("explain"),
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
