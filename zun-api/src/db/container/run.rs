//! The runs of containers. Reports write them, in the transaction that applies the report.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use zun_common::api::v1::event::EventAction;
use zun_common::id::{ContainerId, HostName};
use zun_common::rpc::report::{LastRun, RunReport};
use zun_common::status::EndReason;

use super::query::with_tombstone;
use crate::db::column::parse;
use crate::db::event::{self, NewEvent};
use crate::db::schema::containers;
use crate::db::schema::runs::{self, dsl};
use crate::db::{Backend, Conn, DbError, now};

/// Maximum number of runs of a container that are kept. Older ones are forgotten.
const MAX_RUNS: i64 = 20;
/// How many containers one statement reads.
const CHUNK: usize = 500;

/// A run of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) number: i64,
    pub(crate) started_at: Option<NaiveDateTime>,
    pub(crate) finished_at: Option<NaiveDateTime>,
    pub(crate) exit_code: Option<i64>,
    /// Why it ended; `None` until it has.
    pub(crate) reason: Option<EndReason>,
    pub(crate) message: Option<String>,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = runs, check_for_backend(Backend))]
struct Row {
    container: String,
    number: i64,
    raw_started: Option<String>,
    started_at: Option<NaiveDateTime>,
    finished_at: Option<NaiveDateTime>,
    exit_code: Option<i64>,
    reason: Option<String>,
    message: Option<String>,
}

/// The columns that a report changes. Absent values are not changed: a run that has ended never runs again.
#[derive(Debug, AsChangeset, Insertable)]
#[diesel(table_name = runs)]
struct Change {
    number: i64,
    raw_started: Option<String>,
    started_at: Option<NaiveDateTime>,
    finished_at: Option<NaiveDateTime>,
    exit_code: Option<i64>,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Row {
    fn parse(self) -> Result<Run, DbError> {
        let reason = self.reason.as_deref();
        let reason = reason.map(|text| parse("reason", &self.container, text)).transpose()?;
        Ok(Run {
            number: self.number,
            started_at: self.started_at,
            finished_at: self.finished_at,
            exit_code: self.exit_code,
            reason,
            message: self.message,
        })
    }
}

/// Writes reported runs, and deletes those that are too old. `newest` is the number of the newest run so far. The
/// caller holds the container's lock. Returns what is new about them.
pub(super) fn write_runs(
    conn: &mut Conn,
    (id, newest): (ContainerId, i64),
    reported: &[RunReport],
) -> Result<Vec<NewEvent>, DbError> {
    let mut events = Vec::new();
    let Some(last) = reported.iter().map(|run| run.number).max() else { return Ok(events) };
    let container = id.to_string();
    let kept = last.max(newest) - MAX_RUNS;
    for run in reported.iter().filter(|run| run.number > kept.max(0)) {
        let was = if run.number > newest {
            Known::Nothing
        } else {
            let row = dsl::runs
                .filter(dsl::container.eq(&container).and(dsl::number.eq(run.number)))
                .select(dsl::reason);
            match row.first::<Option<String>>(conn).optional()? {
                None => Known::Nothing,
                Some(None) => Known::Begun,
                Some(Some(reason)) => Known::Ended(reason),
            }
        };
        let change = change(run);
        if was == Known::Nothing {
            diesel::insert_into(dsl::runs)
                .values((dsl::container.eq(&container), change))
                .execute(conn)?;
        } else {
            let row =
                dsl::runs.filter(dsl::container.eq(&container).and(dsl::number.eq(run.number)));
            diesel::update(row).set(change).execute(conn)?;
        }
        events.extend(events_of(run, &was));
    }
    if last <= newest {
        return Ok(events);
    }
    diesel::update(containers::table.filter(containers::uuid.eq(&container)))
        .set(containers::run.eq(last))
        .execute(conn)?;
    diesel::delete(dsl::runs.filter(dsl::container.eq(&container).and(dsl::number.le(kept))))
        .execute(conn)?;
    Ok(events)
}

/// What was stored of a run before a report.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    Nothing,
    Begun,
    /// With this reason.
    Ended(String),
}

/// What is new in a report of a run.
fn events_of(run: &RunReport, was: &Known) -> Vec<NewEvent> {
    let mut events = Vec::new();
    let reason = run.end.as_ref().map(|end| end.reason);
    if *was == Known::Nothing && reason != Some(EndReason::NotStarted) {
        events.push(NewEvent::of(EventAction::Start).with("run", &run.number));
    }
    let was_ended = match was {
        Known::Nothing | Known::Begun => None,
        Known::Ended(reason) => Some(reason.as_str()),
    };
    // The engine may report this later than the kill.
    if reason == Some(EndReason::OutOfMemory) && was_ended != Some(EndReason::OutOfMemory.as_str())
    {
        events.push(NewEvent::of(EventAction::Oom).with("run", &run.number));
    }
    if let (Some(end), None) = (&run.end, was_ended) {
        let mut die = NewEvent::of(EventAction::Die).with("run", &run.number);
        die = die.with("reason", end.reason.as_str());
        if let Some(code) = end.exit_code {
            die = die.with("exitCode", &code);
        }
        if let (Some(began), Some(ended)) = (run.started_at, end.at) {
            die = die.with("execDuration", &(ended - began).num_seconds().max(0));
        }
        events.push(die);
    }
    events
}

fn change(run: &RunReport) -> Change {
    let RunReport { number, raw_started, started_at, end } = run;
    let end = end.as_ref();
    Change {
        number: *number,
        raw_started: raw_started.clone(),
        started_at: started_at.map(|time| time.naive_utc()),
        finished_at: end.and_then(|end| end.at).map(|time| time.naive_utc()),
        exit_code: end.and_then(|end| end.exit_code),
        reason: end.map(|end| end.reason.as_str()),
        // PostgreSQL refuses a text with a NUL character.
        message: end.and_then(|end| end.message.as_ref()).map(|text| text.replace('\0', "")),
    }
}

/// The runs of a container, newest first.
pub(crate) fn runs(conn: &mut Conn, id: ContainerId) -> Result<Vec<Run>, DbError> {
    let rows: Vec<Row> = dsl::runs
        .filter(dsl::container.eq(id.to_string()))
        .order(dsl::number.desc())
        .limit(MAX_RUNS)
        .select(Row::as_select())
        .load(conn)?;
    rows.into_iter().map(Row::parse).collect()
}

/// The newest runs of these containers, as their agent needs them.
pub(crate) fn last_runs(
    conn: &mut Conn,
    ids: &[ContainerId],
) -> Result<HashMap<ContainerId, LastRun>, DbError> {
    let mut found = HashMap::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let texts: Vec<String> = chunk.iter().map(ToString::to_string).collect();
        let rows: Vec<Row> = dsl::runs
            .inner_join(
                containers::table
                    .on(containers::uuid.eq(dsl::container).and(containers::run.eq(dsl::number))),
            )
            .filter(dsl::container.eq_any(texts))
            .select(Row::as_select())
            .load(conn)?;
        for Row { container, number, raw_started, reason, .. } in rows {
            let id = parse("container", &container, &container)?;
            found.insert(id, LastRun { number, raw_started, has_ended: reason.is_some() });
        }
    }
    Ok(found)
}

/// Ends the runs on a host that lost its containers. Returns the containers of these runs.
pub(crate) fn lose_runs(conn: &mut Conn, host: &HostName) -> Result<Vec<ContainerId>, DbError> {
    let at = now(conn)?;
    let on_host =
        containers::table.filter(containers::host.eq(host.as_str())).select(containers::uuid);
    let open = dsl::runs.filter(dsl::reason.is_null().and(dsl::container.eq_any(on_host)));
    let lost: Vec<String> = open.select(dsl::container).distinct().load(conn)?;
    let numbers: Vec<(String, i64)> = open.select((dsl::container, dsl::number)).load(conn)?;
    diesel::update(dsl::runs.filter(dsl::reason.is_null().and(dsl::container.eq_any(&lost))))
        .set((dsl::reason.eq(EndReason::HostLost.as_str()), dsl::finished_at.eq(at)))
        .execute(conn)?;
    for (container, run) in numbers {
        let Some(record) = with_tombstone(conn, parse("container", &container, &container)?)?
        else {
            continue;
        };
        let die = NewEvent::of(EventAction::Die).with("run", &run);
        let die = die.with("reason", EndReason::HostLost.as_str());
        event::write(conn, &(&record).into(), vec![die])?;
    }
    lost.iter().map(|id| parse("container", id, id)).collect()
}
