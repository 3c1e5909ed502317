//! `POST /v1/containers/{ident}/stop`

use actix_web::web::Data;

use super::grace;
use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::answer::{Answer, accepted};
use crate::http::extract::{Ask, Asked};
use crate::http::fields::Fields;

/// With how much grace.
pub(in crate::http) struct Stop {
    grace: Option<u32>,
}

impl Ask for Stop {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        Ok(Self { grace: grace(fields)? })
    }
}

/// Stops a container.
pub(in crate::http) async fn stop(
    app: Data<App>,
    caller: Caller,
    ident: Ident,
    ask: Asked<Stop>,
) -> Answer {
    app.stop(&caller, &ident, ask.0.grace).await?;
    Ok(accepted())
}
