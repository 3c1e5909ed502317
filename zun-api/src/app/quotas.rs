//! Quotas of projects.

use zun_common::id::ProjectId;

use super::{App, AppError, Caller, Permission};
use crate::db::quota::{self, Amounts, Limits, Quota};

impl App {
    /// Returns the quota of a project, and what its containers have.
    pub(crate) async fn quota(
        &self,
        caller: &Caller,
        project: &str,
    ) -> Result<(Quota, Amounts), AppError> {
        let project = visible(caller, project)?;
        let settings = self.settings.quotas;
        let read = move |conn: &mut _| {
            Ok((quota::project(conn, &project, &settings)?, quota::usage(conn, &project)?))
        };
        Ok(self.db.read(read).await?)
    }

    /// Returns the quota of projects without their own.
    pub(crate) async fn default_quota(&self, caller: &Caller) -> Result<Quota, AppError> {
        caller.require(Permission::SeeQuota)?;
        self.read_class().await
    }

    /// Sets limits of a project, and returns all of them. Existing containers stay, even if they
    /// exceed the limits.
    pub(crate) async fn set_quota(
        &self,
        caller: &Caller,
        project: &str,
        limits: Limits,
    ) -> Result<Quota, AppError> {
        caller.require(Permission::SetQuota)?;
        let project = parse(project)?;
        let (target, settings) = (project.clone(), self.settings.quotas);
        let quota = self
            .db
            .write_durable(move |conn| {
                quota::set(conn, &target, &limits)?;
                quota::project(conn, &target, &settings)
            })
            .await?;
        audit(caller, &format!("the quota of project {project} was set to {quota:?}"));
        Ok(quota)
    }

    /// Removes a project's own limits.
    pub(crate) async fn reset_quota(&self, caller: &Caller, project: &str) -> Result<(), AppError> {
        caller.require(Permission::ResetQuota)?;
        let project = parse(project)?;
        let target = project.clone();
        self.db.write_durable(move |conn| quota::reset(conn, &target)).await?;
        audit(caller, &format!("the quota of project {project} was reset"));
        Ok(())
    }

    /// Returns the limits of a class. There is one, for projects without their own limits.
    pub(crate) async fn quota_class(&self, caller: &Caller, name: &str) -> Result<Quota, AppError> {
        caller.require(Permission::SeeQuotaClass)?;
        known_class(name)?;
        self.read_class().await
    }

    /// Sets limits of the class, and returns all of them.
    pub(crate) async fn set_quota_class(
        &self,
        caller: &Caller,
        name: &str,
        limits: Limits,
    ) -> Result<Quota, AppError> {
        caller.require(Permission::SetQuotaClass)?;
        known_class(name)?;
        self.db.write_durable(move |conn| quota::set_class(conn, &limits)).await?;
        let quota = self.read_class().await?;
        audit(caller, &format!("the default quota was set to {quota:?}"));
        Ok(quota)
    }

    async fn read_class(&self) -> Result<Quota, AppError> {
        let settings = self.settings.quotas;
        Ok(self.db.read(move |conn| quota::class(conn, &settings)).await?)
    }
}

/// Parses the ID of a project whose quota the caller may see. Fails with the same error for an unknown and for a hidden
/// project, so that a caller cannot find out which projects exist.
fn visible(caller: &Caller, project: &str) -> Result<ProjectId, AppError> {
    caller.require(Permission::SeeQuota)?;
    let project = parse(project)?;
    if project != caller.identity.project && caller.require(Permission::SeeAllProjects).is_err() {
        return Err(AppError::QuotaNotFound(project.to_string()));
    }
    Ok(project)
}

fn parse(project: &str) -> Result<ProjectId, AppError> {
    let missing = |_invalid| AppError::QuotaNotFound(project.chars().take(80).collect());
    project.parse().map_err(missing)
}

fn known_class(name: &str) -> Result<(), AppError> {
    if name == "default" {
        return Ok(());
    }
    Err(AppError::QuotaClassNotFound(name.chars().take(80).collect()))
}

fn audit(caller: &Caller, words: &str) {
    tracing::info!(
        target: "audit",
        { request.id = %caller.context.request, user.id = %caller.identity.user },
        "{words}"
    );
}
