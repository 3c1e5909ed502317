//! Images on hosts in the API's responses.

use zun_common::api::v1::image::Image;

use super::ViewContext;
use crate::app::{Caller, Permission};
use crate::db::image::Record;

/// An image on a host.
pub(in crate::http) fn image(
    record: &Record,
    (caller, view_context): (&Caller, &ViewContext),
) -> Image {
    Image {
        uuid: record.id,
        links: view_context.base.links("images", &record.id.to_string()),
        image_id: record.engine_id.clone(),
        repo: record.repo.clone(),
        tag: record.tag.clone(),
        size: record.size,
        project_id: record.project.to_string(),
        host: Some(record.host.clone()).filter(|_| caller.require(Permission::SeeHosts).is_ok()),
        platform: record.platform.clone(),
        status: record.status,
        status_reason: record.reason.clone(),
        image_pull: record.progress.clone(),
        created_at: Some(record.created_at),
        updated_at: Some(record.updated_at),
    }
}
