//! Logins to registries in the API's responses.

use zun_common::api::v1::registry::Registry;

use super::ViewContext;
use crate::db::registry::Record;

/// A login without its password.
pub(in crate::http) fn registry(record: &Record, view_context: &ViewContext) -> Registry {
    Registry {
        uuid: record.id,
        links: view_context.base.links("registries", &record.id.to_string()),
        name: record.name.clone(),
        domain: record.domain.clone(),
        username: record.username.clone(),
        password: record.password.as_ref().map(|_hidden| "***".to_owned()),
        project_id: record.project.to_string(),
        user_id: record.user.to_string(),
        created_at: Some(record.created_at),
        updated_at: Some(record.updated_at),
    }
}
