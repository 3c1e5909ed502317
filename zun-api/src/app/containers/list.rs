//! Lists of containers.

use super::super::{App, AppError, Caller};
use crate::db::container::{self, Filter, Page, Part};

/// Which containers to list.
#[derive(Debug, Clone)]
pub(crate) struct ListQuery {
    pub(crate) all_projects: bool,
    pub(crate) filter: Filter,
    pub(crate) page: Page,
}

impl App {
    /// Returns one page of the containers in the caller's project, or in all projects for an administrator who
    /// requests it.
    pub(crate) async fn list(&self, caller: &Caller, query: ListQuery) -> Result<Part, AppError> {
        let scope = if query.all_projects { caller.visible_scope() } else { caller.own_scope() };
        let marker = query.page.marker;
        let ListQuery { all_projects: _, filter, page } = query;
        let kept = self.listed.clone();
        let read = move |conn: &mut _| container::page(conn, &scope, &filter, &page, &kept);
        match (self.db.read(read).await?, marker) {
            (Some(part), _) => Ok(part),
            (None, Some(marker)) => Err(AppError::MarkerNotFound(marker)),
            (None, None) => Ok(Part::default()),
        }
    }
}
