//! Images that were pulled through the API, or created from containers, each on one host.

use chrono::NaiveDateTime;
use diesel::dsl::{exists, select};
use diesel::prelude::*;
use zun_common::api::v1::container::ImagePull;
use zun_common::api::v1::event::{EventAction, EventType};
use zun_common::api::v1::image::ImageStatus;
use zun_common::id::{HostName, ImageId, ProjectId, UserId};
use zun_common::rpc::image::PulledImage;
use zun_common::rpc::operation::Outcome;

use super::column::{json_optional, parse, unreadable};
use super::container::Scope;
use super::event::{self, About, NewEvent};
use super::operation::{self, Kind};
use super::schema::images::{self, dsl};
use super::{Backend, Conn, DbError, now};

/// An image on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: ImageId,
    pub(crate) project: ProjectId,
    pub(crate) user: UserId,
    pub(crate) host: HostName,
    pub(crate) repo: String,
    pub(crate) tag: String,
    pub(crate) platform: Option<String>,
    pub(crate) status: ImageStatus,
    pub(crate) reason: Option<String>,
    pub(crate) engine_id: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) progress: Option<ImagePull>,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: NaiveDateTime,
}

/// An image to pull.
#[derive(Debug, Clone)]
pub(crate) struct Requested {
    pub(crate) project: ProjectId,
    pub(crate) user: UserId,
    pub(crate) host: HostName,
    pub(crate) repo: String,
    pub(crate) tag: String,
    pub(crate) platform: Option<String>,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = images, check_for_backend(Backend))]
struct Row {
    uuid: String,
    project_id: String,
    user_id: String,
    host: String,
    repo: String,
    tag: String,
    /// Empty if none was requested.
    platform: String,
    status: String,
    status_reason: Option<String>,
    engine_id: Option<String>,
    size: Option<i64>,
    progress: Option<String>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

/// The text in a column is not one that this build writes.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not the status of an image")]
struct UnknownStatus(String);

impl Row {
    fn parse(self) -> Result<Record, DbError> {
        let row = &self.uuid;
        let status = ImageStatus::ALL.into_iter().find(|status| status.as_str() == self.status);
        let status = status.ok_or_else(|| unreadable("status", row, UnknownStatus(self.status)))?;
        Ok(Record {
            id: parse("uuid", row, &self.uuid)?,
            project: parse("project_id", row, &self.project_id)?,
            user: parse("user_id", row, &self.user_id)?,
            host: parse("host", row, &self.host)?,
            repo: self.repo,
            tag: self.tag,
            platform: Some(self.platform).filter(|platform| !platform.is_empty()),
            status,
            reason: self.status_reason,
            engine_id: self.engine_id,
            size: self.size.and_then(|size| u64::try_from(size).ok()),
            progress: json_optional("progress", row, self.progress.as_deref())?,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

type Narrowed<'a> = diesel::dsl::IntoBoxed<'a, dsl::images, Backend>;

fn read(rows: Narrowed<'_>, conn: &mut Conn) -> Result<Vec<Record>, DbError> {
    let rows: Vec<Row> = rows.order(dsl::id.asc()).select(Row::as_select()).load(conn)?;
    rows.into_iter().map(Row::parse).collect()
}

fn scoped<'a>(scope: &Scope) -> Narrowed<'a> {
    let all = dsl::images.into_boxed();
    match scope {
        Scope::All => all,
        Scope::Project(project) => all.filter(dsl::project_id.eq(project.to_string())),
    }
}

/// The images of a scope, the oldest first.
pub(crate) fn all(conn: &mut Conn, scope: &Scope) -> Result<Vec<Record>, DbError> {
    read(scoped(scope), conn)
}

/// The image with this ID.
pub(crate) fn by_id(
    conn: &mut Conn,
    scope: &Scope,
    id: ImageId,
) -> Result<Option<Record>, DbError> {
    Ok(read(scoped(scope).filter(dsl::uuid.eq(id.to_string())), conn)?.pop())
}

/// Whether the project has an image of this name that its host has.
pub(crate) fn is_available(
    conn: &mut Conn,
    project: &ProjectId,
    (repo, tag): (&str, &str),
) -> Result<bool, DbError> {
    let named = dsl::images
        .filter(dsl::project_id.eq(project.to_string()))
        .filter(dsl::repo.eq(repo).and(dsl::tag.eq(tag)))
        .filter(dsl::status.eq(ImageStatus::Available.as_str()));
    Ok(select(exists(named)).get_result(conn)?)
}

/// Stores that an image is pulled. The project has one row for an image on a host, whose ID stays. Fails as a
/// duplicate if another transaction stores the first one at the same time.
pub(crate) fn request(conn: &mut Conn, requested: Requested) -> Result<Record, DbError> {
    let Requested { project, user, host, repo, tag, platform } = requested;
    let platform = platform.unwrap_or_default();
    let at = now(conn)?;
    let same = dsl::images
        .filter(dsl::project_id.eq(project.to_string()).and(dsl::host.eq(host.to_string())))
        .filter(dsl::repo.eq(repo.clone()).and(dsl::tag.eq(tag.clone())))
        .filter(dsl::platform.eq(platform.clone()));
    let pulling = ImageStatus::Pulling.as_str();
    let known: Option<String> = same.select(dsl::uuid).first(conn).optional()?;
    let uuid = if let Some(uuid) = known {
        diesel::update(dsl::images.filter(dsl::uuid.eq(&uuid)))
            .set((
                dsl::status.eq(pulling),
                dsl::status_reason.eq(None::<String>),
                dsl::progress.eq(None::<String>),
                dsl::updated_at.eq(at),
            ))
            .execute(conn)?;
        uuid
    } else {
        let uuid = ImageId::random().to_string();
        let row = Row {
            uuid: uuid.clone(),
            project_id: project.to_string(),
            user_id: user.to_string(),
            host: host.to_string(),
            repo,
            tag,
            platform,
            status: pulling.to_owned(),
            status_reason: None,
            engine_id: None,
            size: None,
            progress: None,
            created_at: at,
            updated_at: at,
        };
        diesel::insert_into(dsl::images).values(row).execute(conn)?;
        uuid
    };
    let row: Row = dsl::images.filter(dsl::uuid.eq(uuid)).select(Row::as_select()).first(conn)?;
    row.parse()
}

/// Stores an image that the host has created from a container.
pub(crate) fn add(
    conn: &mut Conn,
    made: Requested,
    present: &PulledImage,
) -> Result<ImageId, DbError> {
    let id = request(conn, made)?.id;
    set_present(conn, id, present)?;
    change_status(conn, id, (&[ImageStatus::Pulling], ImageStatus::Available), None)?;
    write_event(conn, id, EventAction::Create)?;
    Ok(id)
}

/// Changes the status if it is still one of `from`. Returns whether it was.
fn change_status(
    conn: &mut Conn,
    id: ImageId,
    (from, to): (&[ImageStatus], ImageStatus),
    reason: Option<&str>,
) -> Result<bool, DbError> {
    let at = now(conn)?;
    let row = dsl::images.filter(dsl::uuid.eq(id.to_string()));
    let from = from.iter().map(|status| status.as_str());
    let changed = diesel::update(row.filter(dsl::status.eq_any(from)))
        .set((
            dsl::status.eq(to.as_str()),
            dsl::status_reason.eq(reason),
            dsl::progress.eq(None::<String>),
            dsl::updated_at.eq(at),
        ))
        .execute(conn)?;
    Ok(changed > 0)
}

/// Records an event of an image.
fn write_event(conn: &mut Conn, id: ImageId, action: EventAction) -> Result<(), DbError> {
    let Some(Record { project, repo, tag, host, .. }) = by_id(conn, &Scope::All, id)? else {
        return Ok(());
    };
    let separator = if tag.contains(':') { '@' } else { ':' };
    let about = About {
        kind: EventType::Image,
        project: project.as_str(),
        id: id.to_string(),
        name: &format!("{repo}{separator}{tag}"),
        image: None,
        host: Some(host.as_str()),
    };
    event::write(conn, &about, vec![NewEvent::of(action)])
}

/// Stores that the host removes the image.
pub(crate) fn mark_deleting(conn: &mut Conn, id: ImageId) -> Result<(), DbError> {
    let at = now(conn)?;
    diesel::update(dsl::images.filter(dsl::uuid.eq(id.to_string())))
        .set((
            dsl::status.eq(ImageStatus::Deleting.as_str()),
            dsl::status_reason.eq(None::<String>),
            dsl::updated_at.eq(at),
        ))
        .execute(conn)?;
    Ok(())
}

/// Stores the progress of a pull.
pub(crate) fn set_progress(
    conn: &mut Conn,
    id: ImageId,
    progress: &ImagePull,
) -> Result<(), DbError> {
    let text = serde_json::to_string(progress)?;
    let row = dsl::images.filter(dsl::uuid.eq(id.to_string()));
    diesel::update(row.filter(dsl::status.eq(ImageStatus::Pulling.as_str())))
        .set(dsl::progress.eq(text))
        .execute(conn)?;
    Ok(())
}

/// Stores what the host has.
pub(crate) fn set_present(
    conn: &mut Conn,
    id: ImageId,
    image: &PulledImage,
) -> Result<(), DbError> {
    let size = i64::try_from(image.size).unwrap_or(i64::MAX);
    diesel::update(dsl::images.filter(dsl::uuid.eq(id.to_string())))
        .set((dsl::engine_id.eq(&image.id), dsl::size.eq(size)))
        .execute(conn)?;
    Ok(())
}

/// Whether another row is about the same image on the host: then removing this one must leave the image.
pub(crate) fn is_shared(conn: &mut Conn, record: &Record) -> Result<bool, DbError> {
    let others = dsl::images
        .filter(dsl::host.eq(record.host.as_str()).and(dsl::uuid.ne(record.id.to_string())))
        .filter(dsl::repo.eq(&record.repo).and(dsl::tag.eq(&record.tag)))
        .filter(dsl::status.ne(ImageStatus::Deleting.as_str()));
    Ok(select(exists(others)).get_result(conn)?)
}

/// Stores how a pull or a removal has ended, given its number in the ledger.
pub(crate) fn settle(
    conn: &mut Conn,
    id: ImageId,
    (kind, sequence): (Kind, i64),
    outcome: &Outcome,
) -> Result<(), DbError> {
    use ImageStatus::{Available, Deleting, Error, Pulling};
    const LATE: &str = "The host did not begin to pull it within 10 minutes.";
    match (kind, outcome) {
        (Kind::PullImage, Outcome::Succeeded) => {
            // An earlier pull of it may have failed.
            if change_status(conn, id, (&[Pulling, Error], Available), None)? {
                write_event(conn, id, EventAction::Pull)?;
            }
        }
        (Kind::PullImage, failure) => {
            let reason = match failure {
                Outcome::Failed(problem) => problem.message.as_str(),
                Outcome::Succeeded | Outcome::Expired | Outcome::Unknown => LATE,
            };
            if !operation::is_pulled_later(conn, id, sequence)? {
                change_status(conn, id, (&[Pulling], Error), Some(reason))?;
            }
        }
        (Kind::RemoveImage, Outcome::Succeeded) => {
            if operation::is_pulled_later(conn, id, sequence)? {
                return write_event(conn, id, EventAction::Delete);
            }
            delete(conn, id)?;
        }
        (Kind::RemoveImage, Outcome::Failed(problem)) => {
            let reason = Some(problem.message.as_str());
            change_status(conn, id, (&[Deleting], Available), reason)?;
        }
        (_, _) => {}
    }
    Ok(())
}

/// Deletes the image and its operations.
pub(crate) fn delete(conn: &mut Conn, id: ImageId) -> Result<(), DbError> {
    write_event(conn, id, EventAction::Delete)?;
    diesel::delete(dsl::images.filter(dsl::uuid.eq(id.to_string()))).execute(conn)?;
    operation::forget(conn, id.subject())
}
