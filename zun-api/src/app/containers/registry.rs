//! Which login to a registry a new container's image is pulled with.

use zun_common::id::{ProjectId, RegistryId};
use zun_common::image_name::ImageName;

use super::NewContainer;
use crate::app::{AppError, InvalidField};
use crate::db::container::Scope;
use crate::db::{Conn, DbError, registry};

/// The requested login, or else the only one that the project has to the image's registry. An image without a domain is
/// taken from the requested registry.
pub(super) fn choose(
    conn: &mut Conn,
    project: &ProjectId,
    requested: &mut NewContainer,
) -> Result<Result<Option<RegistryId>, AppError>, DbError> {
    // The host refuses other names, with the rule.
    let Ok(image) = requested.image.parse::<ImageName>() else { return Ok(Ok(None)) };
    let Some(ident) = &requested.registry else {
        let only = registry::only_one_of(conn, project, image.domain())?;
        return Ok(Ok(only.map(|record| record.id)));
    };
    let scope = Scope::Project(project.clone());
    let Some(record) = registry::by_ident(conn, &scope, ident)?.pop() else {
        return Ok(Err(AppError::RegistryNotFound(ident.clone())));
    };
    let placed = image.clone().in_registry(&record.domain);
    if placed.domain() != record.domain {
        let rule = format!(
            "a login to the registry of the image, {}; this one is for {}",
            placed.domain(),
            record.domain
        );
        return Ok(Err(InvalidField::new("registry", ident, rule).into()));
    }
    if placed != image {
        requested.image = format!("{}/{}", record.domain, requested.image);
    }
    Ok(Ok(Some(record.id)))
}
