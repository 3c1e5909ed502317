//! `GET /v1/containers/{ident}`, at once or after the container has reached a status.

use std::time::Duration;

use actix_web::web::Data;
use zun_common::status::Status;

use super::{ALL_PROJECTS, ignore_all_projects};
use crate::app::containers::{Ident, WaitFor};
use crate::app::{App, AppError, Caller, InvalidField};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{Field, text_field, whole_field};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};
use crate::http::rules::SHORT_TEXT;
use crate::http::view::{self, ViewContext};

/// The parameter that makes the request wait.
pub(in crate::http) const WAIT_FOR: &str = "wait_for";
pub(super) const DEFAULT_WAIT: u64 = 30;
pub(super) const MAX_WAIT: u64 = 300;

/// A show request.
pub(in crate::http) struct Show {
    wait: Option<WaitFor>,
}

impl FromFields for Show {
    const FIELDS: &'static [Field] = &[
        ALL_PROJECTS,
        text_field(WAIT_FOR, SHORT_TEXT, "Wait for one of these statuses, such as `Running,Error`"),
        text_field(
            "unless_updated",
            SHORT_TEXT,
            "With `wait_for`: do not wait if `updated_at` differs from this time",
        ),
        whole_field(
            "timeout",
            (0, MAX_WAIT, " of seconds"),
            "With `wait_for`: seconds to wait; 30 if absent",
        ),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        ignore_all_projects(fields);
        let Some(names) = fields.text(WAIT_FOR) else {
            return Ok(Self { wait: None });
        };
        let unless_updated = fields.text("unless_updated");
        let statuses =
            names.split(',').map(str::parse::<Status>).collect::<Result<Vec<_>, _>>().map_err(
                |_unknown| {
                    let rule = "statuses such as `Running,Stopped,Error`";
                    InvalidField::new(WAIT_FOR, &names, rule)
                },
            )?;
        let seconds = fields.whole("timeout").unwrap_or(DEFAULT_WAIT);
        Ok(Self {
            wait: Some(WaitFor { statuses, timeout: Duration::from_secs(seconds), unless_updated }),
        })
    }
}

/// Returns a container.
pub(in crate::http) async fn show(
    app: Data<App>,
    caller: Caller,
    view_context: ViewContext,
    ident: Ident,
    input: Parsed<Show>,
) -> ApiResult {
    let record = match &input.0.wait {
        Some(wanted) => app.wait_for(&caller, &ident, wanted).await?,
        None => app.find_also_unreadable(&caller, &ident).await?,
    };
    Ok(ok(&view::container(&record, &caller, &view_context.refreshed())))
}
