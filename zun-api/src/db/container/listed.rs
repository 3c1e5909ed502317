//! Containers of lists, kept in memory, so that a list neither reads nor parses rows that have not changed.
//!
//! The database changes `revision` with each change of a row, whoever makes it. A list first reads the IDs and
//! revisions of its rows, and then only the rows that are not kept with this revision.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use diesel::prelude::*;
use moka::sync::Cache;

use super::row::{Record, Row};
use super::unreadable;
use crate::db::schema::containers::dsl;
use crate::db::{Conn, DbError};

/// Maximum size of the cached containers, in bytes. An estimate.
const CAPACITY: u64 = 32 * 1024 * 1024;
/// What a container occupies in addition to its texts, in bytes. An estimate.
const FIXED: usize = 2048;
/// Rows that are read by one statement.
const BATCH: usize = 500;

/// A container of a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) record: Record,
    for_member: OnceLock<Rendered>,
    for_admin: OnceLock<Rendered>,
    /// Bytes of the row's texts.
    size: usize,
}

/// A container as JSON, without the value of the one field that changes with time.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// What comes before the value.
    pub(crate) before: Box<str>,
    /// What comes after the value.
    pub(crate) after: Box<str>,
}

impl Listed {
    const fn new(record: Record, size: usize) -> Self {
        Self { record, for_member: OnceLock::new(), for_admin: OnceLock::new(), size }
    }

    /// Returns what `render` made of the container the first time.
    pub(crate) fn rendered<E>(
        &self,
        for_admin: bool,
        render: impl FnOnce(&Record) -> Result<Rendered, E>,
    ) -> Result<&Rendered, E> {
        let rendered = if for_admin { &self.for_admin } else { &self.for_member };
        if let Some(known) = rendered.get() {
            return Ok(known);
        }
        let new = render(&self.record)?;
        Ok(rendered.get_or_init(|| new))
    }

    fn weight(&self) -> u32 {
        // The record, and two renderings.
        u32::try_from(FIXED + 3 * self.size).unwrap_or(u32::MAX)
    }
}

/// The cached containers by their ID. Cloning it is cheap.
#[derive(Debug, Clone)]
pub(crate) struct ListedRows(Cache<String, (i64, Arc<Listed>)>);

impl ListedRows {
    /// None are kept yet.
    pub(crate) fn new() -> Self {
        let weigher = |_: &String, (_, listed): &(i64, Arc<Listed>)| listed.weight();
        Self(Cache::builder().max_capacity(CAPACITY).weigher(weigher).build())
    }

    /// Returns the containers with these IDs and revisions, in this order. A row that cannot be read is a container in
    /// Error. Leaves out those that were deleted since the revisions were read.
    pub(super) fn get(
        &self,
        conn: &mut Conn,
        keys: &[(String, i64)],
    ) -> Result<Vec<Arc<Listed>>, DbError> {
        let mut found: Vec<Option<Arc<Listed>>> = keys
            .iter()
            .map(|(uuid, revision)| {
                let (kept, listed) = self.0.get(uuid)?;
                (kept == *revision).then_some(listed)
            })
            .collect();
        let mut missing: Vec<&mut Option<Arc<Listed>>> = Vec::new();
        let mut names = Vec::new();
        for ((uuid, _), place) in keys.iter().zip(&mut found) {
            if place.is_none() {
                missing.push(place);
                names.push(uuid.as_str());
            }
        }
        for (names, places) in names.chunks(BATCH).zip(missing.chunks_mut(BATCH)) {
            self.read(conn, names, places)?;
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn read(
        &self,
        conn: &mut Conn,
        names: &[&str],
        places: &mut [&mut Option<Arc<Listed>>],
    ) -> Result<(), DbError> {
        let rows = dsl::containers
            .filter(dsl::uuid.eq_any(names).and(dsl::deleted_at.is_null()))
            .select((dsl::revision, Row::as_select()));
        let rows: Vec<(i64, Row)> = rows.load(conn)?;
        let mut read = HashMap::with_capacity(rows.len());
        for (revision, row) in rows {
            let uuid = row.uuid.clone();
            let size = row.size();
            let listed = match row.parse() {
                Ok(record) => {
                    let listed = Arc::new(Listed::new(record, size));
                    self.0.insert(uuid.clone(), (revision, Arc::clone(&listed)));
                    Some(listed)
                }
                Err(cause) => unreadable::stand_in(conn, &uuid, &cause)?
                    .map(|record| Arc::new(Listed::new(record, size))),
            };
            read.insert(uuid, listed);
        }
        for (name, place) in names.iter().zip(places) {
            **place = read.remove(*name).flatten();
        }
        Ok(())
    }
}
