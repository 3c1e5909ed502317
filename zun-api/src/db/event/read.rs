//! Reads events after a position.

use std::collections::BTreeMap;

use chrono::NaiveDateTime;
use diesel::prelude::*;

use super::position::{Position, end, resume, transactions};
use crate::db::container::{self, Scope};
use crate::db::schema::events::{self, dsl};
use crate::db::{Backend, Conn, DbError, now};

/// How many events one statement reads.
const PAGE: i64 = 256;

/// Which events to read.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) scope: Scope,
    /// Only those that were recorded at this time or later.
    pub(crate) since: Option<NaiveDateTime>,
    /// Only those that were recorded before this time.
    pub(crate) until: Option<NaiveDateTime>,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) position: Position,
    pub(crate) project: String,
    pub(crate) kind: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    pub(crate) host: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The labels of a container.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) at: NaiveDateTime,
}

/// The next events.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) events: Vec<Recorded>,
    /// The position after them.
    pub(crate) end: Position,
    /// Whether there may be more already.
    pub(crate) is_full: bool,
    /// Whether there are events that a transaction in progress keeps from being read. Nothing announces its end.
    pub(crate) is_held: bool,
    /// The database's time before they were read.
    pub(crate) at: NaiveDateTime,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = events, check_for_backend(Backend))]
struct Row {
    id: i64,
    txid: i64,
    project_id: String,
    kind: String,
    action: String,
    subject: String,
    host: Option<String>,
    attributes: String,
    at: NaiveDateTime,
}

type Narrowed<'a> = diesel::dsl::IntoBoxed<'a, dsl::events, Backend>;

/// Where a reader begins: after a position that it has got before, or at a time, or now. Returns that position, and the
/// time since which it wants events.
pub(crate) fn start(
    conn: &mut Conn,
    (after, since): (Option<Position>, Option<NaiveDateTime>),
) -> Result<(Position, Option<NaiveDateTime>), DbError> {
    match (after, since) {
        (Some(after), since) => Ok((resume(conn, after)?, since)),
        (None, Some(since)) => Ok((Position::FIRST, Some(since))),
        (None, None) => {
            let at = now(conn)?;
            Ok((end(conn)?, Some(at)))
        }
    }
}

/// Reads the events of a selection after a position.
pub(crate) fn read(
    conn: &mut Conn,
    selection: &Selection,
    after: Position,
) -> Result<Page, DbError> {
    let at = now(conn)?;
    // Read before the rows, so that the rows contain all transactions that had ended then.
    let running_from = match conn {
        Conn::Sqlite(_) => None,
        Conn::Postgres(conn) => Some(transactions(conn)?.running_from),
    };
    let rows = if running_from.is_none() {
        selection.rows().filter(dsl::id.gt(after.id)).order(dsl::id.asc())
    } else {
        let later = dsl::txid.gt(after.txid);
        let same = dsl::txid.eq(after.txid).and(dsl::id.gt(after.id));
        // The first condition is for the index.
        let rows = selection.rows().filter(dsl::txid.ge(after.txid)).filter(later.or(same));
        rows.order((dsl::txid.asc(), dsl::id.asc()))
    };
    let mut rows: Vec<Row> = rows.limit(PAGE).select(Row::as_select()).load(conn)?;
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count >= PAGE);
    let readable = running_from.map_or(rows.len(), |running_from| {
        rows.iter().take_while(|row| row.txid < running_from).count()
    });
    let is_held = readable < rows.len();
    rows.truncate(readable);
    let end = rows.last().map_or(after, Row::position);
    let labels = labels(conn, &rows)?;
    let recorded = |row: Row| {
        let labels = labels.get(&row.subject).cloned().unwrap_or_default();
        row.recorded(labels)
    };
    let events = rows.into_iter().map(recorded).collect();
    Ok(Page { events, end, is_full: is_full && !is_held, is_held, at })
}

impl Selection {
    fn rows<'a>(&self) -> Narrowed<'a> {
        let mut rows = dsl::events.into_boxed();
        if let Scope::Project(project) = &self.scope {
            rows = rows.filter(dsl::project_id.eq(project.to_string()));
        }
        if let Some(since) = self.since {
            rows = rows.filter(dsl::at.ge(since));
        }
        if let Some(until) = self.until {
            rows = rows.filter(dsl::at.lt(until));
        }
        rows
    }
}

/// The labels of the containers that the events are about, as far as these are known.
fn labels(
    conn: &mut Conn,
    rows: &[Row],
) -> Result<BTreeMap<String, BTreeMap<String, String>>, DbError> {
    let mut containers: Vec<&str> = rows.iter().map(|row| row.subject.as_str()).collect();
    containers.sort_unstable();
    containers.dedup();
    if containers.is_empty() { Ok(BTreeMap::new()) } else { container::labels(conn, &containers) }
}

impl Row {
    const fn position(&self) -> Position {
        Position { txid: self.txid, id: self.id }
    }

    fn recorded(self, labels: BTreeMap<String, String>) -> Recorded {
        Recorded {
            position: self.position(),
            project: self.project_id,
            kind: self.kind,
            action: self.action,
            subject: self.subject,
            host: self.host,
            // A newer zun-api may have written it. Unreadable events are left out.
            attributes: serde_json::from_str(&self.attributes).unwrap_or_default(),
            labels,
            at: self.at,
        }
    }
}
