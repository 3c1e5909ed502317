//! `GET /v1/containers/{ident}`, at once or when it is in a wanted status

use std::time::Duration;

use actix_web::web::Data;
use zun_common::status::Status;

use super::ignore_all_projects;
use crate::app::containers::{Ident, WaitFor};
use crate::app::{App, AppError, Caller, Invalid};
use crate::http::answer::{Answer, ok};
use crate::http::extract::{Ask, Asked};
use crate::http::fields::Fields;
use crate::http::rules::WANTED;
use crate::http::view::{self, Viewer};

const USUAL_WAIT: u64 = 30;
const LONGEST_WAIT: u64 = 300;

/// Whether to wait.
pub(in crate::http) struct Show {
    wait: Option<WaitFor>,
}

impl Ask for Show {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        ignore_all_projects(fields)?;
        let Some(names) = fields.text("wait_for", &WANTED)? else { return Ok(Self { wait: None }) };
        let unless_updated = fields.text("unless_updated", &WANTED)?;
        let statuses =
            names.split(',').map(str::parse::<Status>).collect::<Result<Vec<_>, _>>().map_err(
                |_unknown| {
                    let rule = "statuses such as `Running,Stopped,Error`";
                    Invalid::new("wait_for", &names, rule)
                },
            )?;
        let seconds = fields.whole("timeout", 0..=LONGEST_WAIT)?.unwrap_or(USUAL_WAIT);
        Ok(Self {
            wait: Some(WaitFor { statuses, timeout: Duration::from_secs(seconds), unless_updated }),
        })
    }
}

/// Shows a container.
pub(in crate::http) async fn show(
    app: Data<App>,
    caller: Caller,
    viewer: Viewer,
    ident: Ident,
    ask: Asked<Show>,
) -> Answer {
    let record = match &ask.0.wait {
        Some(wanted) => app.wait_for(&caller, &ident, wanted).await?,
        None => app.find(&caller, &ident).await?,
    };
    Ok(ok(&view::container(&record, &caller, &viewer.later())))
}
