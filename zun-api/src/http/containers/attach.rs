//! `POST /v1/containers/{ident}/attach` for the client `zun`, and `GET` for OpenStack's clients.

use actix_web::web::Data;
use zun_common::grant::Mode;

use super::{CSR, csr};
use crate::app::containers::{Attach, Ident};
use crate::app::{App, AppError, Caller, InvalidField};
use crate::http::extract::{FromFields, NoFields, Parsed};
use crate::http::field::{Field, Kind, boolean_field, field, texts_field};
use crate::http::fields::Fields;
use crate::http::response::{ApiResult, ok};
use crate::http::rules::PROTOCOL;

/// The parameter by which an attach request waits for the creation of the container.
pub(in crate::http) const BEFORE_START: &str = "before_start";

impl FromFields for Attach {
    const FIELDS: &'static [Field] = &[
        CSR.required(),
        texts_field("protocols", PROTOCOL, "Console protocols, the preferred one first").required(),
        field(
            "mode",
            Kind::Word(&["rw", "ro"]),
            "Whether the client wants to type; `rw` if absent",
        ),
        boolean_field(
            BEFORE_START,
            "Whether the client will start the container after it has attached",
        )
        .in_query(),
    ];

    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let csr = csr(fields)?;
        let protocols = fields.texts("protocols").filter(|protocols| !protocols.is_empty());
        let protocols = protocols.ok_or_else(|| {
            InvalidField::missing("protocols", "a non-empty list of console protocols")
        })?;
        let mode = match fields.word("mode") {
            Some("ro") => Mode::ReadOnly,
            Some(_) | None => Mode::default(),
        };
        Ok(Self { csr, protocols, mode, before_start: fields.flag(BEFORE_START) })
    }
}

/// Grants access to a container's console.
pub(in crate::http) async fn attach(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    input: Parsed<Attach>,
) -> ApiResult {
    Ok(ok(&app.attach(&caller, &ident, &input.0).await?))
}

/// Returns the address of a websocket for OpenStack's clients, as a JSON string.
pub(in crate::http) async fn attach_websocket(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    _input: Parsed<NoFields>,
) -> ApiResult {
    Ok(ok(&app.attach_address(&caller, &ident).await?))
}
