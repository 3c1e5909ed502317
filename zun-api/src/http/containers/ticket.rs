//! `POST /v1/containers/{ident}/console_ticket`. Not in OpenStack Zun's API.

use actix_web::web::Data;
use zun_common::grant::Mode;
use zun_common::pty::ticket::{LONGEST_LIFE, MOST_USES};

use crate::app::containers::{Ident, NewTicket};
use crate::app::{App, AppError, Caller, InvalidField};
use crate::http::extract::{FromFields, Parsed};
use crate::http::field::{Field, Kind, boolean_field, field, text_field, whole_field};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};
use crate::http::rules;

/// How long a ticket opens sessions if the request does not say, in seconds.
const DEFAULT_LIFE: u32 = 60;

impl FromFields for NewTicket {
    const FIELDS: &'static [Field] = &[
        text_field(
            "exec_id",
            rules::EXEC_ID,
            "The engine's ID of the exec; the container's own console if absent",
        ),
        field(
            "mode",
            Kind::Word(&["rw", "ro"]),
            "Whether the ticket's clients may type; `rw` if absent",
        ),
        whole_field(
            "for_seconds",
            (1, LONGEST_LIFE.as_secs(), " of seconds"),
            "Seconds for which the ticket opens sessions; 60 if absent",
        ),
        whole_field(
            "uses",
            (1, MOST_USES as u64, ""),
            "How many sessions the ticket opens; 1 if absent",
        ),
        boolean_field(
            "files",
            "Whether the ticket's clients may copy the container's files in and out, as root of the container",
        ),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let mode = match fields.word("mode") {
            Some("ro") => Mode::ReadOnly,
            Some(_) | None => Mode::ReadWrite,
        };
        let files = fields.flag("files");
        if files && mode == Mode::ReadOnly {
            let rule = "absent, or false, if `mode` is `ro`";
            Err(InvalidField::new("files", "true", rule))?;
        }
        Ok(Self {
            exec: fields.parsed("exec_id"),
            mode,
            seconds: fields.whole("for_seconds").unwrap_or(DEFAULT_LIFE),
            uses: fields.whole("uses").unwrap_or(1),
            files,
        })
    }
}

/// Issues a ticket for a container's console or an exec.
pub(in crate::http) async fn console_ticket(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<NewTicket>,
) -> ApiResult {
    Ok(ok(&app.console_ticket(&caller, &ident, input.0).await?))
}
