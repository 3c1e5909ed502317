//! Logins of projects to image registries. The API never returns a stored password. Only the agent of a host that pulls
//! with it gets it (`reports/registry.rs`).

use zun_common::committed;
use zun_common::id::{ProjectId, RegistryId};
use zun_common::image_name::{DOCKER_IO, ImageName, Version, names_domain, registry_domain};
use zun_common::secret::Secret;

use super::containers::several_begin_so;
use super::{App, AppError, Caller, InvalidField};
use crate::db::container::Scope;
use crate::db::registry::{self, Record};
use crate::db::{Conn, DbError, image};
use crate::secrets::{Sealed, SecretKeys};

/// A login as it is requested, with validated values. Absent fields are not changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requested {
    pub(crate) name: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Secret<String>>,
}

/// Which logins to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct RegistryFilter {
    pub(crate) all_projects: bool,
    pub(crate) name: Option<String>,
    pub(crate) domain: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) user: Option<String>,
}

impl RegistryFilter {
    fn selects(&self, record: &Record) -> bool {
        let Self { all_projects: _, name, domain, username, project, user } = self;
        let fits = |wanted: &Option<String>, value: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| value == Some(wanted))
        };
        fits(name, record.name.as_deref())
            && fits(domain, Some(&record.domain))
            && fits(username, record.username.as_deref())
            && fits(project, Some(record.project.as_str()))
            && fits(user, Some(record.user.as_str()))
    }
}

/// The associated data with which the password is encrypted, so that it cannot be moved to another login.
fn bound_to(id: RegistryId, domain: &str) -> String {
    format!("registry {id} {domain}")
}

/// Decrypts the password of a login. `None` if it has none.
pub(crate) fn password(
    keys: Option<&SecretKeys>,
    record: &Record,
) -> Result<Option<Secret<String>>, AppError> {
    let Some(sealed) = &record.password else { return Ok(None) };
    let opened = require(keys)?.unseal(sealed, &bound_to(record.id, &record.domain));
    opened.map(Some).map_err(AppError::Secret)
}

fn require(keys: Option<&SecretKeys>) -> Result<&SecretKeys, AppError> {
    const WHAT: &str = "Storing passwords of registries";
    keys.ok_or(AppError::NotConfigured { what: WHAT, setting: "secrets.key_file" })
}

impl App {
    /// Lists the logins of the caller's project, or of all projects for an administrator who requests it.
    pub(crate) async fn registries(
        &self,
        caller: &Caller,
        filter: RegistryFilter,
    ) -> Result<Vec<Record>, AppError> {
        let scope = if filter.all_projects { caller.visible_scope() } else { caller.own_scope() };
        let mut all = self.db.read(move |conn| registry::all(conn, &scope)).await?;
        all.retain(|record| filter.selects(record));
        Ok(all)
    }

    /// Finds a login by ID or name, the caller's own before others.
    pub(crate) async fn registry(&self, caller: &Caller, ident: &str) -> Result<Record, AppError> {
        let (scopes, wanted) = ([caller.own_scope(), caller.visible_scope()], ident.to_owned());
        let found = self.db.read(move |conn| find(conn, &scopes, &wanted)).await?;
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (Some(record), None) => Ok(record),
            (Some(first), Some(second)) if first.id.to_string().starts_with(ident) => {
                let all = [first, second].into_iter().chain(found);
                let named = all.map(|one| {
                    format!("{} ({})", one.id, one.name.as_deref().unwrap_or(&one.domain))
                });
                Err(several_begin_so("registries", ident, named))
            }
            (Some(_), Some(_)) => Err(AppError::AmbiguousRegistry(ident.to_owned())),
            (None, _) => Err(AppError::RegistryNotFound(ident.chars().take(80).collect())),
        }
    }

    /// Stores a new login of the caller's project.
    pub(crate) async fn create_registry(
        &self,
        caller: &Caller,
        requested: Requested,
    ) -> Result<Record, AppError> {
        let Requested { name, domain, username, password } = requested;
        let domain = domain.ok_or_else(|| {
            InvalidField::missing("domain", "the domain of a registry such as `quay.io`")
                .within("registry")
        })?;
        let domain = registry_domain(&domain).to_owned();
        let id = RegistryId::random();
        let record = Record {
            id,
            project: caller.identity.project.clone(),
            user: caller.identity.user.clone(),
            name,
            password: self.seal(password.as_ref(), &bound_to(id, &domain))?,
            domain,
            username,
            created_at: chrono::NaiveDateTime::default(),
            updated_at: chrono::NaiveDateTime::default(),
        };
        check(&record)?;
        let name = record.name.clone();
        let stored = self.db.write_durable(move |conn| {
            if registry::is_full(conn, &record.project)? {
                return Ok(None);
            }
            registry::insert(conn, record).map(Some)
        });
        let record = stored.await.map_err(|error| taken(error, name))?;
        record.ok_or(AppError::TooMany {
            what: "logins to registries",
            limit: registry::MAX_PER_PROJECT,
        })
    }

    /// Changes a login. A password stays with its registry and its user: if one of them changes, the request must have
    /// the password too. Otherwise a project member who does not know the password could redirect it to another
    /// registry.
    pub(crate) async fn update_registry(
        &self,
        caller: &Caller,
        ident: &str,
        requested: Requested,
    ) -> Result<Record, AppError> {
        let mut record = self.registry(caller, ident).await?;
        let Requested { name, domain, username, password } = requested;
        let domain = domain.map(|domain| registry_domain(&domain).to_owned());
        let moves = domain.as_ref().is_some_and(|domain| *domain != record.domain)
            || username.is_some() && username != record.username;
        if moves && record.password.is_some() && password.is_none() {
            let rule = "given again if the domain or the username changes";
            return Err(InvalidField::missing("password", rule).within("registry").into());
        }
        record.name = name.or(record.name);
        record.domain = domain.unwrap_or(record.domain);
        record.username = username.or(record.username);
        let sealed = self.seal(password.as_ref(), &bound_to(record.id, &record.domain))?;
        record.password = sealed.or(record.password);
        check(&record)?;
        let name = record.name.clone();
        let updated = self.db.write_durable(move |conn| registry::update(conn, record)).await;
        let updated = updated.map_err(|error| taken(error, name))?;
        updated.ok_or_else(|| AppError::RegistryNotFound(ident.to_owned()))
    }

    /// Deletes a login. Containers that were created with it stay.
    pub(crate) async fn delete_registry(
        &self,
        caller: &Caller,
        ident: &str,
    ) -> Result<(), AppError> {
        let record = self.registry(caller, ident).await?;
        let deleted = self.db.write_durable(move |conn| registry::delete(conn, record.id)).await?;
        if deleted { Ok(()) } else { Err(AppError::RegistryNotFound(ident.to_owned())) }
    }

    /// Encrypts all passwords with the newest key.
    pub(crate) async fn reseal_registries(&self) -> Result<(), AppError> {
        let Some(keys) = &self.secrets else { return Ok(()) };
        let newest = keys.newest().to_owned();
        let old =
            self.db.read(move |conn| registry::encrypted_with_other_key(conn, &newest)).await?;
        for record in old {
            let Some(sealed) = record.password.clone() else { continue };
            let plain = match password(Some(keys), &record) {
                Ok(Some(plain)) => plain,
                Ok(None) => continue,
                Err(error) => {
                    tracing::error!(
                        registry.id = %record.id, error = %zun_common::chain(&error),
                        "cannot decrypt the password of a registry"
                    );
                    continue;
                }
            };
            let new = keys.seal(&plain, &bound_to(record.id, &record.domain));
            let id = record.id;
            self.db.write_durable(move |conn| registry::reseal(conn, id, (&sealed, &new))).await?;
        }
        Ok(())
    }

    fn seal(
        &self,
        password: Option<&Secret<String>>,
        bound_to: &str,
    ) -> Result<Option<Sealed>, AppError> {
        let Some(password) = password else { return Ok(None) };
        Ok(Some(require(self.secrets.as_ref())?.seal(password, bound_to)))
    }
}

/// An image as a request names it.
pub(super) struct WantedImage<'a> {
    /// The field of the request.
    pub(super) field: &'static str,
    /// The image. [`choose`] adds the registry that it is pulled from.
    pub(super) text: &'a mut String,
    /// The requested login.
    pub(super) login: Option<&'a str>,
}

/// Like [`choose`], for the image of a container: also finds an image that the project has committed by the name that it
/// was given, without the prefix. As in Docker, that goes before an image of the same name in a registry.
pub(super) fn choose_for_container(
    conn: &mut Conn,
    (caller, project): (&Caller, &ProjectId),
    wanted: WantedImage<'_>,
) -> Result<Result<Option<RegistryId>, AppError>, DbError> {
    if wanted.login.is_none()
        && !names_domain(wanted.text)
        && let Ok(ImageName { repository, version: Version::Tag(tag) }) = wanted.text.parse()
    {
        let repository = format!("{}{repository}", committed::prefix_of(project));
        if image::is_available(conn, project, (&repository, &tag))? {
            *wanted.text = format!("{repository}:{tag}");
        }
    }
    choose(conn, (caller, project), wanted)
}

/// Chooses the login that an image is pulled with: the requested one, or else the only one that the project has to the
/// image's registry. An image without a domain is taken from the requested registry. Refuses an image that the project
/// may not use: every request for an image passes this check.
pub(super) fn choose(
    conn: &mut Conn,
    (caller, project): (&Caller, &ProjectId),
    wanted: WantedImage<'_>,
) -> Result<Result<Option<RegistryId>, AppError>, DbError> {
    let WantedImage { field, text, login } = wanted;
    let record = match login {
        None => None,
        Some(ident) => {
            let scope = Scope::Project(project.clone());
            let Some(record) = registry::by_ident(conn, &scope, ident)?.pop() else {
                return Ok(Err(AppError::RegistryNotFound(ident.to_owned())));
            };
            if !names_domain(text) && record.domain != DOCKER_IO {
                *text = format!("{}/{text}", record.domain);
            }
            Some((ident, record))
        }
    };
    let name = match permitted(caller, project, (field, text)) {
        Ok(name) => name,
        Err(why) => return Ok(Err(why.into())),
    };
    let Some((ident, record)) = record else {
        let only = registry::only_one_of(conn, project, name.domain())?;
        return Ok(Ok(only.map(|record| record.id)));
    };
    if name.domain() != registry_domain(&record.domain) {
        let rule = format!(
            "a login to the registry of the image, {}; this one is for {}",
            name.domain(),
            record.domain
        );
        return Ok(Err(InvalidField::new("registry", ident, rule).into()));
    }
    Ok(Ok(Some(record.id)))
}

/// Parses the name of an image, and checks that another project has not committed it. Docker also
/// finds images by the first digits of their IDs, which anyone can guess, so only administrators use IDs.
fn permitted(
    caller: &Caller,
    project: &ProjectId,
    (field, text): (&'static str, &str),
) -> Result<ImageName, InvalidField> {
    let Ok(name) = text.parse::<ImageName>() else {
        let rule = "the name of an image such as `cirros`, `registry.example.org/name:tag` or `name@sha256:…`";
        return Err(InvalidField::new(field, text, rule));
    };
    let is_hidden = name.looks_like_id() && !caller.is_admin();
    if is_hidden || !committed::may_use(project, &name) {
        let own = committed::prefix_of(project);
        let rule =
            format!("an image of a registry, or one that your project has committed: {own}…");
        return Err(InvalidField::new(field, text, rule));
    }
    Ok(name)
}

fn find(conn: &mut Conn, scopes: &[Scope; 2], ident: &str) -> Result<Vec<Record>, DbError> {
    for scope in scopes {
        let found = registry::by_ident(conn, scope, ident)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    for scope in scopes {
        let mut found = registry::all(conn, scope)?;
        found.retain(|one| !ident.is_empty() && one.id.to_string().starts_with(ident));
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

fn check(record: &Record) -> Result<(), AppError> {
    if record.password.is_some() && record.username.is_none() {
        let rule = "the user to whom the password belongs";
        return Err(InvalidField::missing("username", rule).within("registry").into());
    }
    if committed::is_reserved(&record.domain) {
        let rule = "the domain of a registry; this one is reserved for images of `zun commit`";
        return Err(InvalidField::new("domain", &record.domain, rule).within("registry").into());
    }
    Ok(())
}

fn taken(error: DbError, name: Option<String>) -> AppError {
    match name {
        Some(name) if error.is_duplicate() => AppError::RegistryNameTaken(name),
        Some(_) | None => error.into(),
    }
}
