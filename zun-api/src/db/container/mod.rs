//! Containers: the row, what is asked of rows, and what changes them.

mod change;
mod page;
mod query;
mod row;
mod run;
mod spec;
mod unreadable;

pub(crate) use change::{
    Applied, Fresh, Outlook, amend, apply, bury, confirm_removal, fail_creation, insert, purge,
    set_limits,
};
pub(crate) use page::{Filter, Page, SortKey, page};
pub(crate) use query::{
    Scope, assigned, by_id, by_id_beginning, by_ids, by_name, digest, name_taken, with_tombstone,
};
pub(crate) use row::Record;
pub(crate) use run::{Run, last_runs, lose_runs, runs};
pub(crate) use spec::{FormatVersion, Spec};
