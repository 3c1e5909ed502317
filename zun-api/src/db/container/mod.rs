//! Containers: the row, what is asked of rows, and what changes them.

mod change;
mod page;
mod query;
mod row;
mod unreadable;

pub(crate) use change::{
    Applied, Fresh, Outlook, amend, apply, give_up, insert, mark_deleting, mark_dispatched, remove,
};
pub(crate) use page::{Filter, Page, SortKey, page};
pub(crate) use query::{Scope, assigned, by_id, by_ids, by_name, name_taken, undispatched};
pub(crate) use row::Record;
