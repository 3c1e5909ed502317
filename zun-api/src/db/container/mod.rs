//! Containers: rows, queries and changes.

mod change;
mod heal;
mod listed;
mod page;
mod query;
mod removal;
mod row;
mod run;
mod spec;
mod unreadable;

pub(crate) use change::{
    Applied, Fresh, PlacementResult, amend, apply, fail_creation, insert, set_image, set_limits,
};
pub(crate) use heal::{set_heal_at, to_heal};
pub(crate) use listed::{ListedRows, Rendered};
pub(crate) use page::{Filter, Page, Part, SortKey, page};
pub(crate) use query::{
    Assigned, Scope, assigned, by_id, by_id_beginning, by_ids, by_name, count_by_status, digest,
    labels, labels_by_host, name_taken, placed, with_tombstone,
};
pub(crate) use removal::{confirm_removal, purge, write_tombstone};
pub(crate) use row::Record;
pub(crate) use run::{Run, last_runs, lose_runs, runs};
pub(crate) use spec::{FormatVersion, Spec};
pub(crate) use unreadable::{or_stand_in, stand_in_for};
