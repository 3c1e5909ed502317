//! `PATCH /v1/containers/{ident}`: another name, or other limits

use actix_web::web::Data;
use zun_common::units::{Cpus, Mebibytes};

use super::create::{cpu, memory};
use crate::app::containers::{Ident, Update};
use crate::app::{App, AppError, Caller};
use crate::http::answer::{Answer, ok};
use crate::http::extract::{Ask, Asked};
use crate::http::fields::Fields;
use crate::http::rules;
use crate::http::view::{self, Viewer};

impl Ask for Update {
    fn read(fields: &mut Fields) -> Result<Self, AppError> {
        let wanted = Self {
            name: fields.text("name", &rules::NAME)?,
            cpus: cpu(fields)?.map(Cpus::from),
            memory: memory(fields)?.map(Mebibytes),
        };
        let off = |value: &serde_json::Value| value.as_bool() == Some(false);
        fields.not_offered("auto_heal", off, "left out or false: it is not offered yet")?;
        Ok(wanted)
    }
}

/// Changes a container.
pub(in crate::http) async fn update(
    app: Data<App>,
    caller: Caller,
    viewer: Viewer,
    ident: Ident,
    ask: Asked<Update>,
) -> Answer {
    let record = app.update(&caller, &ident, ask.0).await?;
    Ok(ok(&view::container(&record, &caller, &viewer.later())))
}
