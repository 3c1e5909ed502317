//! Who asks, and what only some may ask.

use zun_common::rpc::envelope::CallContext;

use super::AppError;
use crate::auth::Identity;
use crate::db::container::Scope;

/// The one on whose behalf a request is worked on.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    /// Goes along over the bus.
    pub(crate) context: CallContext,
}

/// What only administrators may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    SeeAllProjects,
    SeeHosts,
    SeeServices,
    ChooseHost,
    FilterByHost,
    ForceDelete,
    ExecutePrivileged,
}

impl Permission {
    /// The name in Zun's policy.
    pub(crate) const fn policy(self) -> &'static str {
        match self {
            Self::SeeAllProjects => "container:get_all_all_projects",
            Self::SeeHosts => "host:get_all",
            Self::SeeServices => "zun-service:get_all",
            Self::ChooseHost => "container:create:requested_destination",
            Self::FilterByHost => "container:get_one:host",
            Self::ForceDelete => "container:delete_force",
            Self::ExecutePrivileged => "container:execute:privileged",
        }
    }
}

impl Caller {
    /// Refuses those who may not.
    pub(crate) fn require(&self, permission: Permission) -> Result<(), AppError> {
        if self.identity.is_admin() { Ok(()) } else { Err(AppError::Forbidden(permission)) }
    }

    /// What is this caller's own.
    pub(crate) fn own_scope(&self) -> Scope {
        Scope::Project(self.identity.project.clone())
    }

    /// What this caller can name.
    pub(crate) fn visible_scope(&self) -> Scope {
        if self.identity.is_admin() { Scope::All } else { self.own_scope() }
    }
}
