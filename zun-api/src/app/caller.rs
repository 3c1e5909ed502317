//! The caller of a request, and whose containers they may address.

use std::sync::{Arc, OnceLock};

use zun_common::id::{ContainerId, ProjectId};
use zun_common::rpc::envelope::CallContext;

use super::{AppError, InvalidField};
use crate::auth::{Identity, Permission, Policy};
use crate::db::container::Scope;

/// The caller of a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    pub(crate) policy: Policy,
    /// Travels with the calls over the bus.
    pub(crate) context: CallContext,
    /// Set if the request may be repeated without being done twice.
    pub(crate) key: Option<IdempotencyKey>,
    /// The container that the request concerns, once it is found, for the log line.
    pub(crate) container: Arc<OnceLock<ContainerId>>,
}

/// The idempotency key of a request. zun-api carries out only the first request of a project with this key, and answers
/// repeats with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey(String);

impl IdempotencyKey {
    pub(crate) const HEADER: &str = "Idempotency-Key";
    const RULE: &str = "1 to 255 printable ASCII characters, given once";
    const LONGEST: usize = 255;

    /// Reads the values of the header. `None` if there are none.
    pub(crate) fn read(values: &[&[u8]]) -> Result<Option<Self>, InvalidField> {
        let text = match values {
            [] => return Ok(None),
            [value] => String::from_utf8_lossy(value),
            [_, _, ..] => String::from_utf8_lossy(&values.join(&b", "[..])).into_owned().into(),
        };
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if values.len() == 1 && (1..=Self::LONGEST).contains(&text.len()) && is_printable {
            return Ok(Some(Self(text.into_owned())));
        }
        Err(InvalidField::new(Self::HEADER, &text, Self::RULE))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Caller {
    /// Returns an error unless the caller has the permission.
    pub(crate) fn require(&self, permission: Permission) -> Result<(), AppError> {
        if self.policy.allows(&self.identity, permission) {
            Ok(())
        } else {
            Err(AppError::Forbidden(permission))
        }
    }

    /// Returns an error unless the caller may use a route with these verbs and this permission. The operator's rule for
    /// the first verb replaces the permission. The other verbs are further effects of the route.
    pub(crate) fn require_route(
        &self,
        verbs: &[&str],
        permission: Option<Permission>,
    ) -> Result<(), AppError> {
        match self.policy.allows_verbs(&self.identity, verbs) {
            Err(verb) => Err(AppError::ForbiddenVerb(verb.to_owned())),
            Ok(Some(())) => Ok(()),
            Ok(None) => permission.map_or(Ok(()), |permission| self.require(permission)),
        }
    }

    /// Whether the caller is an administrator.
    pub(crate) fn is_admin(&self) -> bool {
        self.policy.is_admin(&self.identity)
    }

    /// Notes the container that the request concerns.
    pub(crate) fn concerns(&self, container: ContainerId) {
        self.container.get_or_init(|| container);
    }

    /// The containers of the caller's project.
    pub(crate) fn own_scope(&self) -> Scope {
        Scope::Project(self.identity.project.clone())
    }

    /// Whether the caller can address containers of the project.
    pub(crate) fn sees(&self, project: &ProjectId) -> bool {
        self.is_admin() || self.identity.project == *project
    }

    /// The containers that the caller can address.
    pub(crate) fn visible_scope(&self) -> Scope {
        if self.is_admin() { Scope::All } else { self.own_scope() }
    }
}
