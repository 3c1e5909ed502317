//! Hosts: the row, what is asked of rows, and what changes them.

mod change;
mod query;
mod row;

pub(crate) use change::{Registration, beat, check_epoch, register};
pub(crate) use query::{Usage, all, by_name, usage};
pub(crate) use row::{Liveness, Record};
