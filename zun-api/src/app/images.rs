//! Images on hosts: explicit pulls and removals, which are operations of the host, and searches.

use std::sync::Arc;

use chrono::TimeDelta;
use zun_common::committed;
use zun_common::id::{HostName, ImageId, RegistryId};
use zun_common::image_name::ImageName;
use zun_common::rpc::container::PullPolicy;
use zun_common::rpc::image::{FoundImage, SearchImages};
use zun_common::rpc::operation::{Change, RESOURCES_PROTOCOL};

use super::registries::WantedImage;
use super::{App, AppError, Caller, InvalidField, hosts, registries};
use crate::db::container::Scope;
use crate::db::image::{self, Record, Requested};
use crate::db::operation::{self, Accepted, NewOperation, Subject};
use crate::db::{Conn, DbError, host, transaction};

/// How long a host may take to begin a pull.
const PULL_LIMIT: TimeDelta = TimeDelta::minutes(10);

/// An image to pull, with validated values.
#[derive(Debug, Clone)]
pub(crate) struct NewImage {
    /// Its name, with a tag or a digest if it has one.
    pub(crate) image: String,
    pub(crate) host: Option<HostName>,
    pub(crate) policy: PullPolicy,
    pub(crate) platform: Option<String>,
    pub(crate) registry: Option<String>,
}

/// Which images to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ImageFilter {
    pub(crate) all_projects: bool,
    pub(crate) host: Option<HostName>,
    pub(crate) repo: Option<String>,
}

impl App {
    /// Lists the images of the caller's project, or of all projects for an administrator who requests it.
    pub(crate) async fn images(
        &self,
        caller: &Caller,
        filter: ImageFilter,
    ) -> Result<Vec<Record>, AppError> {
        let scope = if filter.all_projects { caller.visible_scope() } else { caller.own_scope() };
        let mut all = self.db.read(move |conn| image::all(conn, &scope)).await?;
        all.retain(|record| {
            filter.host.as_ref().is_none_or(|host| record.host == *host)
                && filter.repo.as_ref().is_none_or(|repo| record.repo == *repo)
        });
        Ok(all)
    }

    /// Finds an image by its ID.
    pub(crate) async fn image(&self, caller: &Caller, id: &str) -> Result<Record, AppError> {
        let missing = || AppError::ImageNotFound(id.chars().take(80).collect());
        let (scope, id) = (caller.visible_scope(), id.parse::<ImageId>());
        let id = id.map_err(|_invalid| missing())?;
        let found = self.db.read(move |conn| image::by_id(conn, &scope, id)).await?;
        found.ok_or_else(missing)
    }

    /// Accepts a pull. The host carries it out after the answer.
    pub(crate) async fn pull_image(
        self: &Arc<Self>,
        caller: &Caller,
        wanted: NewImage,
    ) -> Result<Record, AppError> {
        let host = self.host_for_pull(wanted.host.clone()).await?;
        let (asking, wanted) = (caller.clone(), wanted);
        let work = move |conn: &mut Conn| {
            let accept = |conn: &mut Conn| {
                transaction(conn, |conn| accept_pull(conn, &asking, (&wanted, &host)))
            };
            match accept(conn) {
                // Another request has stored the first pull of this image.
                Err(error) if error.is_duplicate() => accept(conn),
                done => done,
            }
        };
        let (record, accepted) = self.db.write_durable(work).await??;
        tracing::info!(
            image.id = %record.id, host.name = %record.host, request.id = %caller.context.request,
            "accepted the pull of {}:{} on host {}", record.repo, record.tag, record.host
        );
        self.nudge_later(caller.context.clone(), accepted);
        Ok(record)
    }

    /// The requested host, or else the only one. It is up.
    async fn host_for_pull(&self, requested: Option<HostName>) -> Result<HostName, AppError> {
        const RULE: &str = "the name of a host; it can be left out if there is only one";
        let all = self.db.read(host::all).await?;
        let host = match requested {
            Some(name) => all.into_iter().find(|host| host.name == name).ok_or_else(|| {
                InvalidField::new("host", name.as_str(), "the name of a host of this cluster")
            })?,
            None if all.len() > 1 => return Err(InvalidField::missing("host", RULE).into()),
            None => all.into_iter().next().ok_or(AppError::NoHostUp)?,
        };
        self.live_host(&host.name).await?;
        hosts::require_protocol(&host, RESOURCES_PROTOCOL)?;
        Ok(host.name)
    }

    /// Deletes an image. Its host removes it, unless another project has pulled it there too.
    pub(crate) async fn delete_image(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
    ) -> Result<(), AppError> {
        let record = self.image(caller, id).await?;
        let subject = record.id.subject();
        let asking = caller.clone();
        let work =
            move |conn: &mut Conn| transaction(conn, |conn| accept_removal(conn, &asking, &record));
        if let Some(accepted) = self.db.write_durable(work).await? {
            self.nudge_later(caller.context.clone(), accepted);
        } else {
            self.hub.note_event(subject);
        }
        Ok(())
    }

    /// Searches Docker's registry from a host that is up.
    pub(crate) async fn search_images(
        &self,
        caller: &Caller,
        (term, is_exact): (&str, bool),
    ) -> Result<Vec<FoundImage>, AppError> {
        let reserved = term.split('/').next().is_some_and(committed::is_reserved);
        if reserved {
            let rule = "part of an image's name in Docker's registry";
            return Err(InvalidField::new("image", term, rule).into());
        }
        let views = self.db.read(hosts::views).await?;
        let fits = |view: &crate::scheduler::HostView| {
            view.up && view.engine_up && view.protocol >= RESOURCES_PROTOCOL
        };
        let host = views.into_iter().find(fits).ok_or(AppError::NoHostUp)?.name;
        let host = self.live_host(&host).await?;
        let call = SearchImages { term: term.to_owned() };
        let mut images = self.call_agent(caller, &host, &call).await?.images;
        images.retain(|image| !is_exact || image.name == term);
        Ok(images)
    }
}

type AcceptedPull = Result<(Record, Accepted), AppError>;

fn accept_pull(
    conn: &mut Conn,
    caller: &Caller,
    (wanted, host): (&NewImage, &HostName),
) -> Result<AcceptedPull, DbError> {
    let project = &caller.identity.project;
    let mut image = wanted.image.clone();
    let login = wanted.registry.as_deref();
    let named = WantedImage { field: "repo", text: &mut image, login };
    let chosen = registries::choose(conn, (caller, project), named)?;
    let registry: Option<RegistryId> = match chosen {
        Ok(registry) => registry,
        Err(why) => return Ok(Err(why)),
    };
    let name: ImageName = match image.parse() {
        Ok(name) => name,
        Err(_invalid) => {
            let rule = "an image such as `cirros`, `registry/name:tag` or `name@sha256:…`";
            return Ok(Err(InvalidField::new("repo", &image, rule).into()));
        }
    };
    let record = image::request(
        conn,
        Requested {
            project: project.clone(),
            user: caller.identity.user.clone(),
            host: host.clone(),
            repo: name.repository.clone(),
            tag: name.version.as_str().to_owned(),
            platform: wanted.platform.clone(),
        },
    )?;
    let change = Change::PullImage {
        image: name.to_string(),
        platform: wanted.platform.clone(),
        policy: wanted.policy,
        registry,
        project: Some(project.clone()),
    };
    let accepted = operation::accept(conn, host, new(caller, &record, (change, Some(PULL_LIMIT))))?;
    Ok(Ok((record, accepted)))
}

/// `None` if the host keeps the image.
fn accept_removal(
    conn: &mut Conn,
    caller: &Caller,
    record: &Record,
) -> Result<Option<Accepted>, DbError> {
    // Another request may have deleted it meanwhile.
    if image::by_id(conn, &Scope::All, record.id)?.is_none() {
        return Ok(None);
    }
    operation::supersede(conn, record.id.subject())?;
    if image::is_shared(conn, record)? {
        image::delete(conn, record.id)?;
        return Ok(None);
    }
    image::mark_deleting(conn, record.id)?;
    let separator = if record.tag.contains(':') { '@' } else { ':' };
    let change = Change::RemoveImage { image: format!("{}{separator}{}", record.repo, record.tag) };
    operation::accept(conn, &record.host, new(caller, record, (change, None))).map(Some)
}

fn new<'a>(
    caller: &'a Caller,
    record: &'a Record,
    (change, limit): (Change, Option<TimeDelta>),
) -> NewOperation<'a> {
    NewOperation {
        subject: Subject { id: record.id.subject(), project: &record.project },
        user: &caller.identity.user,
        request: &caller.context.request,
        key: None,
        change,
        limit,
    }
}
