//! Volumes and networks in the API's responses.

use zun_common::api::v1::resource::Resource;
use zun_common::resource::ResourceKind;

use super::ViewContext;
use crate::app::Caller;
use crate::app::resources::Used;

/// A volume or a network. Only administrators see its host.
pub(in crate::http) fn resource(
    used: &Used,
    collection: &str,
    (caller, view_context): (&Caller, &ViewContext),
) -> Resource {
    let Used { record, containers } = used;
    let is_network = record.kind == ResourceKind::Network;
    Resource {
        uuid: record.id,
        links: view_context.base.links(collection, &record.id.to_string()),
        name: record.name.clone(),
        project_id: record.project.to_string(),
        user_id: record.user.to_string(),
        host: record.host.clone().filter(|_| caller.is_admin()),
        subnet: record.options.subnet.clone(),
        internal: is_network.then_some(record.options.internal),
        containers: containers.clone(),
        created_at: Some(record.created_at),
    }
}
