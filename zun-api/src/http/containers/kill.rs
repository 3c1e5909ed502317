//! `POST /v1/containers/{ident}/kill`

use actix_web::web::Data;

use crate::app::containers::Ident;
use crate::app::{App, AppError, Caller};
use crate::http::answer::{Answer, accepted};
use crate::http::extract::{Ask, Asked};
use crate::http::fields::{Fields, wrong};
use crate::http::rules;

/// With which signal.
pub(in crate::http) struct Kill {
    signal: String,
}

impl Ask for Kill {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let Some(value) = fields.take("signal") else {
            return Ok(Self { signal: "SIGKILL".to_owned() });
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let signal = rules::signal(&text);
        let signal = signal.ok_or_else(|| wrong("signal", &value, rules::SIGNAL_WORDS))?;
        Ok(Self { signal })
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
