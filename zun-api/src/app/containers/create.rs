//! Creates containers. One transaction writes the row, claims the resources and accepts the operation. The host carries
//! it out after the response.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use chrono::TimeDelta;
use zun_common::api::v1::container::PullPolicy;
use zun_common::id::{ContainerId, HostName, ProjectId};
use zun_common::image_name::ImageName;
use zun_common::rpc::operation::{Change, Outcome};
use zun_common::rpc::{Code, Problem};

use super::attachments::Attachments;
use super::new_container::{Chosen, NewContainer};
use super::once::Once;
use super::{name, publish, rights};
use crate::app::registries::WantedImage;
use crate::app::{App, AppError, Caller, Permission, hosts, registries};
use crate::db::container::{self, Fresh, PlacementResult, Record};
use crate::db::host::ClaimSettings;
use crate::db::operation::{self, Accepted, Ended, Kind, NewOperation, OutcomeKind, RequestKey};
use crate::db::{Conn, DbError, host, port, quota, transaction_with_retry};
use crate::scheduler::{self, HostView, Needs};
use crate::settings::SchedulerSettings;

/// OpenStack Zun's message if no host fits.
const NO_HOST: &str = "There are not enough hosts available.";

/// Maximum number of random names to try.
const MAX_NAME_ATTEMPTS: usize = 16;

/// Maximum number of transactions to try.
const MAX_ATTEMPTS: usize = 16;

/// How long a host may take to begin a creation. After that the container gets the status `Error`, so that no client
/// waits forever, and no job begins days later.
const CREATE_LIMIT: TimeDelta = TimeDelta::minutes(10);

enum Claim {
    Created(Box<Created>),
    NameTaken(String),
    Refused(Box<AppError>),
}

struct Created {
    record: Record,
    /// The operation, if a host fits.
    accepted: Option<Accepted>,
    skipped: Vec<(HostName, scheduler::FilterReason)>,
}

impl App {
    /// Creates a container. If no host fits, the container is in status `Error`.
    pub(crate) async fn create(
        self: &Arc<Self>,
        caller: &Caller,
        mut requested: NewContainer,
    ) -> Result<Record, AppError> {
        check_rights(caller, &requested)?;
        let recording = &self.settings.recording;
        requested.record = Some(recording.policy(&caller.identity.project, requested.record)?);
        let key = caller.request_key(&requested.asked())?;
        let may_create_volumes = requested.uses_resources();
        let attempt = self.claim(caller, requested, key.clone());
        let (record, accepted) = match Box::pin(self.once(key, attempt)).await? {
            Once::Done(claimed) => claimed,
            Once::Repeated(first) => return self.container_again(caller, &first).await,
        };
        caller.concerns(record.id);
        if may_create_volumes {
            self.hub.note_event(record.id);
        }
        tracing::debug!(
            container.id = %record.id, request.id = %caller.context.request,
            host.name = record.host.as_ref().map(tracing::field::display),
            "accepted the creation of container {}", record.id
        );
        if let Some(accepted) = accepted {
            let mut context = caller.context.clone();
            context.project = Some(record.project.clone());
            self.nudge_later(context, accepted);
        } else {
            self.metrics.count_operations([Ended::at_once(Kind::Create, OutcomeKind::Failed)]);
        }
        Ok(record)
    }

    async fn claim(
        &self,
        caller: &Caller,
        requested: NewContainer,
        key: Option<RequestKey>,
    ) -> Result<(Record, Option<Accepted>), AppError> {
        let (caller, settings) = (caller.clone(), self.claim_settings());
        let range = self.settings.ports.range.clone();
        let request = caller.context.request.clone();
        let claim = self
            .db
            .write_durable(move |conn| {
                try_claim(conn, (&caller, key.as_ref()), &requested, (&settings, &range))
            })
            .await?;
        match claim {
            Claim::Created(created) => {
                let Created { record, accepted, skipped } = *created;
                for (host, reason) in skipped {
                    tracing::info!(request.id = %request, host.name = %host, ?reason, "the scheduler skipped a host");
                }
                Ok((record, accepted))
            }
            Claim::NameTaken(name) => Err(AppError::NameTaken(name)),
            Claim::Refused(why) => Err(*why),
        }
    }
}

/// Claims. Between their check and their use, another transaction can take the name, or the last capacity of the host.
/// Then the next try finds it taken, and chooses another random name or another host. Each try is a separate
/// transaction, which releases its locks at its end.
fn try_claim(
    conn: &mut Conn,
    (caller, key): (&Caller, Option<&RequestKey>),
    requested: &NewContainer,
    settings: (&ClaimSettings, &RangeInclusive<u16>),
) -> Result<Claim, DbError> {
    let attempt = |conn: &mut Conn| {
        transaction_with_retry(conn, |conn| write(conn, (caller, key), requested.clone(), settings))
    };
    let is_repeat = |conn: &mut Conn| match key {
        Some(key) => Ok::<_, DbError>(operation::by_key(conn, key)?.is_some()),
        None => Ok(false),
    };
    for _ in 1..MAX_ATTEMPTS {
        match attempt(conn) {
            Err(error) if error.is_duplicate() && !is_repeat(conn)? => {}
            Err(DbError::NoCapacity) => {}
            done => return done,
        }
    }
    attempt(conn)
}

fn write(
    conn: &mut Conn,
    (caller, key): (&Caller, Option<&RequestKey>),
    mut requested: NewContainer,
    (settings, range): (&ClaimSettings, &RangeInclusive<u16>),
) -> Result<Claim, DbError> {
    let identity = &caller.identity;
    if requested.hints.concern_neighbours() || requested.uses_resources() {
        // Blocks other creations of the project, so that each one sees the former ones.
        quota::lock(conn, &identity.project)?;
    }
    let named = requested.registry.clone();
    let image = WantedImage { field: "image", text: &mut requested.image, login: named.as_deref() };
    let registry = match registries::choose_for_container(conn, (caller, &identity.project), image)?
    {
        Ok(registry) => registry,
        Err(why) => return Ok(Claim::Refused(Box::new(why))),
    };
    let name = match free_name(conn, &identity.project, requested.name.as_deref())? {
        Ok(name) => name,
        Err(taken) => return Ok(Claim::NameTaken(taken)),
    };
    let (views, mut attachments) = match candidates(conn, &identity.project, (&requested, range))? {
        Ok(candidates) => candidates,
        Err(why) => return Ok(Claim::Refused(Box::new(why))),
    };
    let (placement_result, skipped) =
        schedule((caller, &requested.needs()), &views, &settings.scheduler);
    let ports = match &placement_result {
        PlacementResult::Placed(host) => publish::choose(conn, (&requested.ports, range), host)?,
        PlacementResult::NoHost { .. } => Vec::new(),
    };
    let (id, start_wanted) = (ContainerId::random(), requested.start);
    // Before the host's row is locked, which the insertion does.
    if let PlacementResult::Placed(host) = &placement_result {
        attachments.take(conn, (host, id), (&identity.project, &identity.user))?;
    }
    let (mounts, network) =
        (attachments.mounts(&requested.mounts), attachments.network(requested.network.as_ref()));
    let fresh = Fresh {
        id,
        project: identity.project.clone(),
        user: identity.user.clone(),
        spec: requested.into_spec(name, Chosen { ports, registry, mounts, network }),
        start_wanted,
        placement_result,
    };
    let record = container::insert(conn, fresh, settings)?;
    if let Some(host) = &record.host {
        port::claim(conn, host, (record.id, &record.spec.ports))?;
    }
    let accepted = accept(conn, (caller, key), &record)?;
    Ok(Claim::Created(Box::new(Created { record, accepted, skipped })))
}

/// Refuses what the caller may not request.
pub(super) fn check_rights(caller: &Caller, requested: &NewContainer) -> Result<(), AppError> {
    rights::needed(requested).into_iter().try_for_each(|permission| caller.require(permission))
}

/// The hosts to choose from, and the volumes and the network that the container uses.
pub(super) fn candidates(
    conn: &mut Conn,
    project: &ProjectId,
    (requested, range): (&NewContainer, &RangeInclusive<u16>),
) -> Result<Result<(Vec<HostView>, Attachments), AppError>, DbError> {
    let mut views = hosts::views(conn)?;
    if let Some(only) = &requested.host {
        if host::known(conn, only)?.is_none() {
            return Ok(Err(AppError::HostNotFound(only.to_string())));
        }
        views.retain(|view| view.name == *only);
    }
    if requested.hints.concern_neighbours() {
        add_neighbour_labels(conn, project, &mut views)?;
    }
    let attachments = match Attachments::find(conn, project, requested)? {
        Ok(attachments) => attachments,
        Err(why) => return Ok(Err(why)),
    };
    attachments.judge(conn, &mut views)?;
    publish::judge(conn, (&requested.ports, range), &mut views)?;
    find_image(conn, requested, &mut views)?;
    Ok(Ok((views, attachments)))
}

/// Marks the hosts that have the image, and those that may not pull it and are known not to have it.
fn find_image(
    conn: &mut Conn,
    requested: &NewContainer,
    views: &mut [HostView],
) -> Result<(), DbError> {
    // Invalid names were refused when the image was chosen.
    let Ok(name) = requested.image.parse::<ImageName>() else { return Ok(()) };
    let with_image = host::with_image(conn, &name.to_string())?;
    // Agents report names with tags only.
    let must_have_it = requested.pull == PullPolicy::Never && !requested.image.contains('@');
    let known = if must_have_it { host::with_all_known(conn)? } else { BTreeSet::new() };
    for view in views {
        view.has_image = with_image.contains(view.name.as_str());
        view.lacks_image = !view.has_image && known.contains(view.name.as_str());
    }
    Ok(())
}

/// Adds the labels of the project's containers to the hosts that these are on.
fn add_neighbour_labels(
    conn: &mut Conn,
    project: &ProjectId,
    views: &mut [HostView],
) -> Result<(), DbError> {
    for (on, labels) in container::labels_by_host(conn, project)? {
        if let Some(view) = views.iter_mut().find(|view| view.name.as_str() == on) {
            view.neighbours.extend(labels);
        }
    }
    Ok(())
}

/// Accepts the operation. Without a host, it is recorded as failed.
fn accept(
    conn: &mut Conn,
    (caller, key): (&Caller, Option<&RequestKey>),
    record: &Record,
) -> Result<Option<Accepted>, DbError> {
    let spec = record.spec.clone().for_host(record.project.clone());
    let change = Change::Create { spec: Box::new(spec), start: record.start_wanted };
    let new = NewOperation {
        subject: record.into(),
        user: &caller.identity.user,
        request: &caller.context.request,
        key,
        change,
        limit: Some(CREATE_LIMIT),
    };
    if let Some(host) = &record.host {
        return operation::accept(conn, host, new).map(Some);
    }
    let problem = Problem::new(Code::Conflict, NO_HOST);
    operation::record(conn, &new, &Outcome::Failed(problem))?;
    Ok(None)
}

fn schedule(
    (caller, needs): (&Caller, &Needs<'_>),
    views: &[HostView],
    settings: &SchedulerSettings,
) -> (PlacementResult, Vec<(HostName, scheduler::FilterReason)>) {
    match scheduler::select_host(needs, views, settings) {
        Ok(host) => (PlacementResult::Placed(host), Vec::new()),
        Err(refusal) => {
            let sees_hosts = caller.require(Permission::SeeHosts).is_ok();
            let detail = if sees_hosts { refusal.by_host() } else { refusal.to_string() };
            (PlacementResult::NoHost { reason: NO_HOST.to_owned(), detail }, refusal.reasons)
        }
    }
}

/// Returns the requested name, or a random one if none is requested. `Err` holds the name if it is taken.
fn free_name(
    conn: &mut Conn,
    project: &ProjectId,
    requested: Option<&str>,
) -> Result<Result<String, String>, DbError> {
    if let Some(name) = requested {
        let taken = container::name_taken(conn, project, name)?;
        return Ok(if taken { Err(name.to_owned()) } else { Ok(name.to_owned()) });
    }
    let mut name = name::random();
    for _ in 0..MAX_NAME_ATTEMPTS {
        if !container::name_taken(conn, project, &name)? {
            return Ok(Ok(name));
        }
        name = name::random();
    }
    Ok(Err(name))
}
