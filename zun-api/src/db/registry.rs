//! Logins of projects to image registries. Passwords are encrypted before they get here.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::id::{ProjectId, RegistryId, UserId};

use super::column::parse;
use super::container::Scope;
use super::schema::registries::{self, dsl};
use super::{Backend, Conn, DbError, now};
use crate::secrets::Sealed;

/// How many logins a project can have.
pub(crate) const MAX_PER_PROJECT: i64 = 200;

/// A login to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: RegistryId,
    pub(crate) project: ProjectId,
    pub(crate) user: UserId,
    pub(crate) name: Option<String>,
    pub(crate) domain: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Sealed>,
    pub(crate) created_at: NaiveDateTime,
    pub(crate) updated_at: NaiveDateTime,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = registries, check_for_backend(Backend))]
struct Row {
    uuid: String,
    project_id: String,
    user_id: String,
    name: Option<String>,
    domain: String,
    username: Option<String>,
    password: Option<String>,
    key_id: Option<String>,
    created_at: NaiveDateTime,
    updated_at: NaiveDateTime,
}

impl Row {
    fn parse(self) -> Result<Record, DbError> {
        Ok(Record {
            id: parse("uuid", &self.uuid, &self.uuid)?,
            project: parse("project_id", &self.uuid, &self.project_id)?,
            user: parse("user_id", &self.uuid, &self.user_id)?,
            name: self.name,
            domain: self.domain,
            username: self.username,
            password: self.key_id.zip(self.password).map(|(key_id, text)| Sealed { key_id, text }),
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }

    fn of(record: &Record) -> Self {
        let password = record.password.clone();
        Self {
            uuid: record.id.to_string(),
            project_id: record.project.to_string(),
            user_id: record.user.to_string(),
            name: record.name.clone(),
            domain: record.domain.clone(),
            username: record.username.clone(),
            key_id: password.as_ref().map(|sealed| sealed.key_id.clone()),
            password: password.map(|sealed| sealed.text),
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

type Narrowed<'a> = diesel::dsl::IntoBoxed<'a, dsl::registries, Backend>;

fn read(rows: Narrowed<'_>, conn: &mut Conn) -> Result<Vec<Record>, DbError> {
    let rows: Vec<Row> = rows.order(dsl::id.asc()).select(Row::as_select()).load(conn)?;
    rows.into_iter().map(Row::parse).collect()
}

fn scoped<'a>(scope: &Scope) -> Narrowed<'a> {
    let all = dsl::registries.into_boxed();
    match scope {
        Scope::All => all,
        Scope::Project(project) => all.filter(dsl::project_id.eq(project.to_string())),
    }
}

/// Whether the project has as many as it can have.
pub(crate) fn is_full(conn: &mut Conn, project: &ProjectId) -> Result<bool, DbError> {
    let of_project = dsl::registries.filter(dsl::project_id.eq(project.as_str()));
    let count: i64 = of_project.count().get_result(conn)?;
    Ok(count >= MAX_PER_PROJECT)
}

/// Stores a new one. Fails as a duplicate if the project has another of this name.
pub(crate) fn insert(conn: &mut Conn, mut record: Record) -> Result<Record, DbError> {
    record.created_at = now(conn)?;
    record.updated_at = record.created_at;
    diesel::insert_into(dsl::registries).values(Row::of(&record)).execute(conn)?;
    Ok(record)
}

/// The logins of a scope, the oldest first.
pub(crate) fn all(conn: &mut Conn, scope: &Scope) -> Result<Vec<Record>, DbError> {
    read(scoped(scope), conn)
}

/// The login with this ID, or else those with this name: which can be several only if the scope has several projects.
pub(crate) fn by_ident(
    conn: &mut Conn,
    scope: &Scope,
    ident: &str,
) -> Result<Vec<Record>, DbError> {
    // No row can hold it, and PostgreSQL refuses the comparison.
    if ident.contains('\0') {
        return Ok(Vec::new());
    }
    if let Ok(id) = ident.parse::<RegistryId>() {
        let found = read(scoped(scope).filter(dsl::uuid.eq(id.to_string())), conn)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    read(scoped(scope).filter(dsl::name.eq(ident.to_owned())).limit(2), conn)
}

/// The login of a project with this ID.
pub(crate) fn by_id(
    conn: &mut Conn,
    project: &ProjectId,
    id: RegistryId,
) -> Result<Option<Record>, DbError> {
    let scope = Scope::Project(project.clone());
    Ok(read(scoped(&scope).filter(dsl::uuid.eq(id.to_string())), conn)?.pop())
}

/// The only login of a project to a registry. `None` if it has none, or several.
pub(crate) fn only_one_of(
    conn: &mut Conn,
    project: &ProjectId,
    domain: &str,
) -> Result<Option<Record>, DbError> {
    let scope = Scope::Project(project.clone());
    let of_domain = scoped(&scope).filter(dsl::domain.eq(domain.to_owned())).limit(2);
    let mut found = read(of_domain, conn)?;
    Ok(if found.len() == 1 { found.pop() } else { None })
}

/// Replaces the fields that can change. Fails as a duplicate if the project has another of this name. `None` if it is gone.
pub(crate) fn update(conn: &mut Conn, mut record: Record) -> Result<Option<Record>, DbError> {
    record.updated_at = now(conn)?;
    let row = Row::of(&record);
    let changed = diesel::update(dsl::registries.filter(dsl::uuid.eq(&row.uuid)))
        .set((
            dsl::name.eq(row.name),
            dsl::domain.eq(row.domain),
            dsl::username.eq(row.username),
            dsl::password.eq(row.password),
            dsl::key_id.eq(row.key_id),
            dsl::updated_at.eq(row.updated_at),
        ))
        .execute(conn)?;
    Ok((changed > 0).then_some(record))
}

/// Deletes one. `false` if it is gone already.
pub(crate) fn delete(conn: &mut Conn, id: RegistryId) -> Result<bool, DbError> {
    let row = dsl::registries.filter(dsl::uuid.eq(id.to_string()));
    Ok(diesel::delete(row).execute(conn)? > 0)
}

/// Those whose password another key has encrypted.
pub(crate) fn encrypted_with_other_key(
    conn: &mut Conn,
    key_id: &str,
) -> Result<Vec<Record>, DbError> {
    read(dsl::registries.filter(dsl::key_id.ne(key_id.to_owned())).into_boxed(), conn)
}

/// Replaces an encrypted password, unless it has changed since it was read.
pub(crate) fn reseal(
    conn: &mut Conn,
    id: RegistryId,
    (old, new): (&Sealed, &Sealed),
) -> Result<(), DbError> {
    let row = dsl::registries.filter(dsl::uuid.eq(id.to_string()));
    diesel::update(row.filter(dsl::password.eq(&old.text)))
        .set((dsl::password.eq(&new.text), dsl::key_id.eq(&new.key_id)))
        .execute(conn)?;
    Ok(())
}
