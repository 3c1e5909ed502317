//! `POST /v1/containers/{ident}/kill`

use actix_web::web::Data;

use super::signal;
use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::answer::{Answer, accepted};
use crate::http::extract::{Ask, Asked};
use crate::http::fields::Fields;

/// With which signal.
pub(in crate::http) struct Kill {
    signal: String,
}

impl Ask for Kill {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { signal: signal(fields)? })
    }
}

/// Sends a container a signal.
pub(in crate::http) async fn kill(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    ask: Asked<Kill>,
) -> Answer {
    app.kill(&caller, &ident, ask.0.signal).await?;
    Ok(accepted())
}
