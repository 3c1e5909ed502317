//! Requests and responses about logins to image registries.

use chrono::NaiveDateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::version::Link;
use crate::id::RegistryId;
use crate::secret::Secret;

/// A login to a registry in the API's responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Registry {
    /// UUID.
    pub uuid: RegistryId,
    /// Links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    /// Name, unique in its project.
    pub name: Option<String>,
    /// Domain of the registry, and its port if it has one.
    pub domain: String,
    /// The user; null if the registry needs no login.
    pub username: Option<String>,
    /// Always `***`; null if there is none.
    pub password: Option<String>,
    /// The project.
    pub project_id: String,
    /// The user who created it.
    pub user_id: String,
    /// Time of the creation. Not in OpenStack Zun's API.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub created_at: Option<NaiveDateTime>,
    /// Time of the last change. Not in OpenStack Zun's API.
    #[serde(with = "super::time")]
    #[schemars(with = "Option<String>")]
    pub updated_at: Option<NaiveDateTime>,
}

/// Response of `GET /v1/registries`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegistryList {
    /// One page.
    pub registries: Vec<Registry>,
    /// Address of the next page, if this one is full.
    pub next: Option<String>,
}

/// Response about one login to a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RegistryBody {
    /// The login.
    pub registry: Registry,
}

/// Body of `POST /v1/registries` and `PATCH /v1/registries/{id}`, as the client `zun` sends it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegistryRequest {
    /// What to store.
    pub registry: RegistryFields,
}

/// A change of a login. An absent field is not changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RegistryFields {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// User.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Password or token.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub password: Option<Secret<String>>,
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn exposed<S: Serializer>(password: &Option<Secret<String>>, out: S) -> Result<S::Ok, S::Error> {
    password.as_ref().map(Secret::expose).serialize(out)
}
