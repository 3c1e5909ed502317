//! Stores what hosts report about explicit image pulls.

use std::sync::Arc;

use zun_common::bus::Incoming;
use zun_common::rpc::image::{ImageState, ReportImage};
use zun_common::rpc::{Code, Done, Problem};

use super::{Stored, own, stale_epoch, stored};
use crate::app::App;
use crate::db::{Conn, DbError, host, image, operation};

enum Effect {
    Stored,
    StaleEpoch,
    NotOpen,
}

/// Accepts only reports about an open pull of the sender.
pub(super) async fn reported(
    app: Arc<App>,
    call: ReportImage,
    incoming: Incoming,
) -> Result<Done, Problem> {
    own(&call.host, &incoming)?;
    let host = call.host.clone();
    let how = match call.state {
        ImageState::Pulling(_) => Stored::Relaxed,
        ImageState::Present(_) => Stored::Durable,
    };
    match stored(&app, how, move |conn| store(conn, &call)).await? {
        Effect::Stored => Ok(Done {}),
        Effect::StaleEpoch => Err(stale_epoch(&host)),
        Effect::NotOpen => {
            let words = format!("the operation is not an open pull on host `{host}`");
            Err(Problem::new(Code::Forbidden, words))
        }
    }
}

fn store(conn: &mut Conn, call: &ReportImage) -> Result<Effect, DbError> {
    let ReportImage { host, epoch, operation, state } = call;
    if host::check_epoch(conn, host, *epoch)?.is_none() {
        return Ok(Effect::StaleEpoch);
    }
    let Some(image) = operation::image_of_open(conn, (host, *epoch), *operation)? else {
        return Ok(Effect::NotOpen);
    };
    match state {
        ImageState::Pulling(progress) => image::set_progress(conn, image, progress)?,
        ImageState::Present(present) => image::set_present(conn, image, present)?,
    }
    Ok(Effect::Stored)
}
