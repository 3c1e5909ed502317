//! A container's row, and its parsed form.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::api::v1::container::ImagePull;
use zun_common::id::{ContainerId, EngineId, Epoch, HostName, ProjectId, UserId};
use zun_common::rpc::report::LiveState;
use zun_common::status::{Status, TaskState};

use super::spec::Spec;
use crate::db::column::{json, json_optional, parse, parse_optional};
use crate::db::schema::containers;
use crate::db::{Backend, DbError};

/// A container, as it is in the database.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) id: ContainerId,
    pub(crate) project: ProjectId,
    pub(crate) user: UserId,
    pub(crate) spec: Spec,
    pub(crate) start_wanted: bool,
    pub(crate) host: Option<HostName>,
    pub(crate) engine: Option<EngineId>,
    /// Epoch and generation of the last applied report.
    pub(crate) epoch: Epoch,
    pub(crate) generation: i64,
    pub(crate) status: Status,
    pub(crate) status_reason: Option<String>,
    pub(crate) status_detail: Option<String>,
    pub(crate) task_state: Option<TaskState>,
    pub(crate) exit_code: Option<i64>,
    pub(crate) oom_killed: bool,
    pub(crate) attached: u32,
    pub(crate) image_pull: Option<ImagePull>,
    pub(crate) live: LiveState,
    pub(crate) started_at: Option<NaiveDateTime>,
    pub(crate) finished_at: Option<NaiveDateTime>,
    /// The number of its newest run; 0 before the first.
    pub(crate) run: i64,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: NaiveDateTime,
    /// When its removal was accepted.
    pub(crate) deleted_at: Option<NaiveDateTime>,
}

impl Record {
    /// A container that was just created, for tests.
    #[cfg(test)]
    pub(crate) fn of_spec(spec: Spec) -> Self {
        Self {
            id: ContainerId::random(),
            project: "p".parse().expect("a project"),
            user: "u".parse().expect("a user"),
            spec,
            start_wanted: true,
            host: None,
            engine: None,
            epoch: Epoch(0),
            generation: 0,
            status: Status::Creating,
            status_reason: None,
            status_detail: None,
            task_state: None,
            exit_code: None,
            oom_killed: false,
            attached: 0,
            image_pull: None,
            live: LiveState::default(),
            started_at: None,
            finished_at: None,
            run: 0,
            created_at: NaiveDateTime::default(),
            updated_at: NaiveDateTime::default(),
            deleted_at: None,
        }
    }
}

/// The columns that are read, without those that only duplicate `spec`.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = containers, check_for_backend(Backend))]
pub(super) struct Row {
    pub(super) uuid: String,
    project_id: String,
    user_id: String,
    spec: String,
    start_wanted: bool,
    host: Option<String>,
    engine_id: Option<String>,
    epoch: i64,
    generation: i64,
    status: String,
    status_reason: Option<String>,
    status_detail: Option<String>,
    task_state: Option<String>,
    exit_code: Option<i64>,
    oom_killed: bool,
    attached: i32,
    image_pull: Option<String>,
    live: Option<String>,
    started_at: Option<NaiveDateTime>,
    finished_at: Option<NaiveDateTime>,
    run: i64,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
    deleted_at: Option<NaiveDateTime>,
}

impl Row {
    /// The bytes of its long texts.
    pub(super) fn size(&self) -> usize {
        let long = [&self.image_pull, &self.live, &self.status_reason, &self.status_detail];
        self.spec.len() + long.into_iter().flatten().map(String::len).sum::<usize>()
    }

    pub(super) fn parse(self) -> Result<Record, DbError> {
        let uuid = self.uuid;
        Ok(Record {
            id: parse("uuid", &uuid, &uuid)?,
            project: parse("project_id", &uuid, &self.project_id)?,
            user: parse("user_id", &uuid, &self.user_id)?,
            spec: json("spec", &uuid, &self.spec)?,
            start_wanted: self.start_wanted,
            host: parse_optional("host", &uuid, self.host.as_deref())?,
            engine: parse_optional("engine_id", &uuid, self.engine_id.as_deref())?,
            epoch: Epoch(self.epoch),
            generation: self.generation,
            status: parse("status", &uuid, &self.status)?,
            status_reason: self.status_reason,
            status_detail: self.status_detail,
            task_state: parse_optional("task_state", &uuid, self.task_state.as_deref())?,
            exit_code: self.exit_code,
            oom_killed: self.oom_killed,
            attached: u32::try_from(self.attached).unwrap_or(0),
            image_pull: json_optional("image_pull", &uuid, self.image_pull.as_deref())?,
            live: json_optional("live", &uuid, self.live.as_deref())?.unwrap_or_default(),
            started_at: self.started_at,
            finished_at: self.finished_at,
            run: self.run,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
        })
    }
}
