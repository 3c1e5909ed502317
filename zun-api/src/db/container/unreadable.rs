//! Rows that this build cannot read: an older or newer build wrote them, or they are damaged.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::chain;
use zun_common::id::{ContainerId, Epoch, ProjectId};
use zun_common::rpc::container::ConsoleSpec;
use zun_common::rpc::report::LiveState;
use zun_common::status::Status;
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::row::Record;
use super::spec::Spec;
use crate::db::column::parse;
use crate::db::schema::containers::{self, dsl};
use crate::db::{Backend, Conn, DbError};

/// The columns without a format.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = containers, check_for_backend(Backend))]
#[expect(clippy::struct_excessive_bools, reason = "the fields are the table's columns")]
struct Plain {
    project_id: String,
    user_id: String,
    name: String,
    image: String,
    cpu_millis: i64,
    memory_mib: i64,
    tty: bool,
    interactive: bool,
    auto_remove: bool,
    start_wanted: bool,
    host: Option<String>,
    engine_id: Option<String>,
    epoch: i64,
    generation: i64,
    run: i64,
    deleted_at: Option<NaiveDateTime>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

/// Returns a container in Error for a row that cannot be read, with the values of its other columns. It must not be
/// sent to a host or written back. `None` if the row is gone, or its identifiers cannot be read either.
pub(super) fn stand_in(
    conn: &mut Conn,
    uuid: &str,
    cause: &DbError,
) -> Result<Option<Record>, DbError> {
    tracing::error!(container.id = uuid, error = %chain(cause), "cannot read the row of container {uuid}");
    let row = dsl::containers.filter(dsl::uuid.eq(uuid)).select(Plain::as_select());
    let Some(row) = row.first::<Plain>(conn).optional()? else { return Ok(None) };
    Ok(row.into_record(uuid, &cause.to_string()).ok())
}

/// Returns a stand-in for the row of this error.
pub(crate) fn stand_in_for(conn: &mut Conn, cause: &DbError) -> Result<Option<Record>, DbError> {
    let DbError::Unreadable { row, .. } = cause else { return Ok(None) };
    stand_in(conn, row, cause)
}

/// Returns the container that was read, or the stand-in for its row, which may be deleted but not changed otherwise. Call
/// it with the result of a query for this container.
pub(crate) fn or_stand_in(
    conn: &mut Conn,
    id: ContainerId,
    read: Result<Option<Record>, DbError>,
) -> Result<Option<Record>, DbError> {
    match read {
        Err(cause @ DbError::Unreadable { .. }) => stand_in(conn, &id.to_string(), &cause),
        read => read,
    }
}

impl Plain {
    fn into_record(self, uuid: &str, why: &str) -> Result<Record, DbError> {
        let project: ProjectId = parse("project_id", uuid, &self.project_id)?;
        let resources = Resources {
            cpus: Cpus::from_millis(u32::try_from(self.cpu_millis).unwrap_or(0)),
            memory: Mebibytes(u64::try_from(self.memory_mib).unwrap_or(0)),
        };
        let console =
            ConsoleSpec { tty: self.tty, stdin_open: self.interactive, ..ConsoleSpec::default() };
        let spec = Spec {
            console,
            resources,
            auto_remove: self.auto_remove,
            ..Spec::of_image(&self.name, &self.image)
        };
        Ok(Record {
            id: parse("uuid", uuid, uuid)?,
            project,
            user: parse("user_id", uuid, &self.user_id)?,
            spec,
            start_wanted: self.start_wanted,
            host: self.host.and_then(|host| host.parse().ok()),
            engine: self.engine_id.and_then(|engine| engine.parse().ok()),
            epoch: Epoch(self.epoch),
            generation: self.generation,
            status: Status::Error,
            status_reason: Some(format!("zun-api cannot read this container: {why}")),
            status_detail: None,
            task_state: None,
            exit_code: None,
            oom_killed: false,
            attached: 0,
            image_pull: None,
            live: LiveState::default(),
            started_at: None,
            finished_at: None,
            run: self.run,
            created_at: self.created_at,
            updated_at: self.updated_at,
            deleted_at: self.deleted_at,
        })
    }
}
