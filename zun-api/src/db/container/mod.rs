//! Containers: the row, what is asked of rows, and what changes them.

mod change;
mod query;
mod row;

pub(crate) use change::{
    Applied, Fresh, Outlook, amend, apply, give_up, insert, mark_deleting, mark_dispatched, remove,
};
pub(crate) use query::{
    Filter, Page, Scope, SortKey, assigned, by_id, by_ids, by_name, name_taken, page, undispatched,
};
pub(crate) use row::Record;
