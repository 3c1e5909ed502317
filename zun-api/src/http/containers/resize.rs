//! `POST /v1/containers/{ident}/resize`

use actix_web::web::Data;
use zun_common::units::TerminalSize;

use super::size;
use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::answer::{Answer, done};
use crate::http::extract::{Ask, Asked};
use crate::http::fields::Fields;

/// To which size.
pub(in crate::http) struct Resize {
    size: TerminalSize,
}

impl Ask for Resize {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { size: size(fields)? })
    }
}

/// Sets the size of a container's terminal.
pub(in crate::http) async fn resize(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    ask: Asked<Resize>,
) -> Answer {
    app.resize(&caller, &ident, ask.0.size).await?;
    Ok(done())
}
