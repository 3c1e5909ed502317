//! The ledger of operations: the row, queries, and changes.
//!
//! ```text
//!  accept ──> open ──report──> succeeded | failed
//!              │ ├──removal of the container──> failed, or unknown if it may have been done once
//!              │ ├──time limit, never received──> expired ──report──> succeeded | failed
//!              │ └──new epoch, may only be done once──> unknown
//!              └──time limit, received──> unknown ──report──> succeeded | failed | expired
//! ```

mod change;
mod effect;
mod key;
mod query;
mod row;

pub(crate) use change::{
    Accepted, NewOperation, accept, end_epoch, expire, is_any_due, lock_epoch, record, supersede,
};
pub(crate) use effect::{settle, settle_reported};
pub(crate) use key::{First, RequestKey, by_key, release_key};
pub(crate) use query::{Open, given_up, has_open_delete, of_container, of_request, open};
pub(crate) use row::{Kind, OutcomeKind, Record};
