//! Explains where a container would be created, and creates nothing. It uses the same code as a creation, so both have
//! the same result.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use zun_common::id::HostName;
use zun_common::image_name::ImageName;

use super::NewContainer;
use super::create::{candidates, check_rights};
use crate::app::registries::WantedImage;
use crate::app::{App, AppError, Caller, Permission, registries};
use crate::db::container::{self, Scope};
use crate::db::host::ClaimSettings;
use crate::db::quota::{self, Amounts};
use crate::db::{Conn, DbError, registry as registry_rows};
use crate::scheduler::{self, FilterReason};
use crate::settings::PlacementStrategy;

/// Where a container would be created, and why.
#[derive(Debug)]
pub(crate) struct Explanation {
    /// The request; its image has the registry that it would be pulled from.
    pub(crate) requested: NewContainer,
    /// The host that would be chosen.
    pub(crate) host: Option<HostName>,
    pub(crate) strategy: PlacementStrategy,
    /// The load of each host with the container added, or why the container does not fit.
    pub(crate) hosts: Vec<(HostName, Result<f64, FilterReason>)>,
    /// The hosts that have the image.
    pub(crate) with_image: BTreeSet<HostName>,
    /// The name of the login to the image's registry.
    pub(crate) login: Option<String>,
    /// Whether the caller may know the hosts.
    pub(crate) sees_hosts: bool,
}

impl App {
    /// Explains where a container would be created. A request that a creation would refuse fails here with the same
    /// error.
    pub(crate) async fn explain(
        &self,
        caller: &Caller,
        requested: NewContainer,
    ) -> Result<Explanation, AppError> {
        check_rights(caller, &requested)?;
        let (asking, settings) = (caller.clone(), self.claim_settings());
        let range = self.settings.ports.range.clone();
        let work = move |conn: &mut Conn| explain(conn, (&asking, requested), (&settings, &range));
        self.db.read(work).await?
    }
}

fn explain(
    conn: &mut Conn,
    (caller, mut requested): (&Caller, NewContainer),
    (settings, range): (&ClaimSettings, &RangeInclusive<u16>),
) -> Result<Result<Explanation, AppError>, DbError> {
    let project = &caller.identity.project;
    let named = requested.registry.clone();
    let image = WantedImage { field: "image", text: &mut requested.image, login: named.as_deref() };
    let registry = match registries::choose_for_container(conn, (caller, project), image)? {
        Ok(registry) => registry,
        Err(why) => return Ok(Err(why)),
    };
    if let Some(name) = &requested.name
        && container::name_taken(conn, project, name)?
    {
        return Ok(Err(AppError::NameTaken(name.clone())));
    }
    let wanted = Amounts::container(requested.resources, requested.disk);
    quota::check(conn, project, wanted, &settings.quotas)?;
    let (views, _attachments) = match candidates(conn, project, (&requested, range))? {
        Ok(candidates) => candidates,
        Err(why) => return Ok(Err(why)),
    };
    let needs = requested.needs();
    let host = scheduler::select_host(&needs, &views, &settings.scheduler).ok();
    let hosts = scheduler::judge_all(&needs, &views, &settings.scheduler);
    let with_image = views.iter().filter(|view| view.has_image);
    let with_image = with_image.map(|view| view.name.clone()).collect();
    let login = match registry {
        Some(id) => {
            let scope = Scope::Project(project.clone());
            let record = registry_rows::by_ident(conn, &scope, &id.to_string())?.pop();
            record.map(|record| record.name.unwrap_or_else(|| record.id.to_string()))
        }
        None => None,
    };
    Ok(Ok(Explanation {
        requested,
        host,
        strategy: settings.scheduler.strategy,
        hosts,
        with_image,
        login,
        sees_hosts: caller.require(Permission::SeeHosts).is_ok(),
    }))
}

impl Explanation {
    /// The image with its tag or digest, and the domain of its registry.
    pub(crate) fn image(&self) -> (String, String) {
        match self.requested.image.parse::<ImageName>() {
            Ok(image) => (image.to_string(), image.domain().to_owned()),
            // Its choice has refused it.
            Err(_invalid) => (self.requested.image.clone(), String::new()),
        }
    }
}
