//! Reports of the images that hosts have.

use std::sync::Arc;

use zun_common::bus::Incoming;
use zun_common::rpc::host::{LONGEST_IMAGE, MOST_IMAGES, ReportHostImages};
use zun_common::rpc::{Code, Done, Problem};

use super::{Stored, own, stale_epoch, stored};
use crate::app::App;
use crate::db::host;

/// Stores the images of a host.
pub(super) async fn reported(
    app: Arc<App>,
    call: ReportHostImages,
    incoming: Incoming,
) -> Result<Done, Problem> {
    own(&call.host, &incoming)?;
    let ReportHostImages { host, epoch, images } = call;
    if images.len() > MOST_IMAGES || images.iter().any(|image| image.len() > LONGEST_IMAGE) {
        let words = format!(
            "a host reports at most {MOST_IMAGES} images, whose names have at most {LONGEST_IMAGE} bytes"
        );
        return Err(Problem::new(Code::BadRequest, words));
    }
    let about = host.clone();
    let is_current =
        stored(&app, Stored::Relaxed, move |conn| host::set_images(conn, (&host, epoch), &images));
    if is_current.await? { Ok(Done {}) } else { Err(stale_epoch(&about)) }
}
