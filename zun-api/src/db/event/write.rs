//! Writes events.

use std::collections::BTreeMap;

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamp};
use zun_common::api::v1::event::{EventAction, EventType};
use zun_common::environment;

use crate::db::container::Record;
use crate::db::schema::events::dsl;
use crate::db::{Conn, DbError, POSTGRES_CLOCK};

/// The ID of the transaction, in PostgreSQL's SQL.
const POSTGRES_TRANSACTION: &str = "pg_current_xact_id()::TEXT::BIGINT";

/// What belongs to an action, such as an exit code.
type Attributes = BTreeMap<&'static str, String>;

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewEvent {
    action: EventAction,
    attributes: Attributes,
}

impl NewEvent {
    /// An event without attributes of its own.
    pub(crate) const fn of(action: EventAction) -> Self {
        Self { action, attributes: Attributes::new() }
    }

    /// The same with an attribute.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: &(impl ToString + ?Sized)) -> Self {
        self.attributes.insert(name, value.to_string());
        self
    }
}

/// What it has happened to.
#[derive(Debug, Clone)]
pub(crate) struct About<'a> {
    pub(crate) kind: EventType,
    pub(crate) project: &'a str,
    pub(crate) id: String,
    pub(crate) name: &'a str,
    /// The image of a container.
    pub(crate) image: Option<&'a str>,
    pub(crate) host: Option<&'a str>,
}

impl<'a> From<&'a Record> for About<'a> {
    fn from(container: &'a Record) -> Self {
        Self {
            kind: EventType::Container,
            project: container.project.as_str(),
            id: container.id.to_string(),
            name: &container.spec.name,
            image: Some(&container.spec.image),
            host: container.host.as_ref().map(zun_common::id::HostName::as_str),
        }
    }
}

/// Writes events in the order in which they have happened, with one statement.
pub(crate) fn write(
    conn: &mut Conn,
    about: &About<'_>,
    events: Vec<NewEvent>,
) -> Result<(), DbError> {
    if events.is_empty() {
        return Ok(());
    }
    let mut rows = Vec::with_capacity(events.len());
    for NewEvent { action, mut attributes } in events {
        attributes.entry("name").or_insert_with(|| about.name.to_owned());
        if let Some(image) = about.image {
            attributes.entry("image").or_insert_with(|| image.to_owned());
        }
        rows.push((
            dsl::project_id.eq(about.project),
            dsl::kind.eq(about.kind.as_str()),
            dsl::action.eq(action.as_str()),
            dsl::subject.eq(about.id.as_str()),
            dsl::host.eq(about.host),
            dsl::attributes.eq(serde_json::to_string(&attributes)?),
        ));
    }
    match conn {
        Conn::Sqlite(conn) => {
            let at = environment::now().naive_utc();
            let rows: Vec<_> =
                rows.into_iter().map(|row| (row, (dsl::txid.eq(0), dsl::at.eq(at)))).collect();
            diesel::insert_into(dsl::events).values(rows).execute(conn)?;
        }
        Conn::Postgres(conn) => {
            let order = || {
                let txid = sql::<BigInt>(POSTGRES_TRANSACTION);
                (dsl::txid.eq(txid), dsl::at.eq(sql::<Timestamp>(POSTGRES_CLOCK)))
            };
            let rows: Vec<_> = rows.into_iter().map(|row| (row, order())).collect();
            diesel::insert_into(dsl::events).values(rows).execute(conn)?;
        }
    }
    Ok(())
}
