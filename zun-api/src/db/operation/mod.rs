//! The ledger of operations: the row, queries, and changes.
//!
//! ```text
//!  accept ──> open ──report──> succeeded | failed
//!              │ ├──removal of the container──> failed, or unknown if it may have been done once
//!              │ ├──time limit, never received──> expired ──report──> succeeded | failed
//!              │ └──new epoch, may only be done once──> unknown ──report──> succeeded | failed
//!              └──time limit, received──> unknown ──report──> succeeded | failed | expired
//! ```

mod change;
mod effect;
mod epoch;
mod expiry;
mod key;
mod query;
mod row;

pub(crate) use change::{
    Accepted, Access, Ended, NewOperation, Subject, accept, forget, lock_open, record,
    record_access, supersede,
};
pub(crate) use effect::{Settled, settle, settle_reported};
pub(crate) use epoch::{end_epoch, lock_epoch, mark_non_idempotent_unknown};
pub(crate) use expiry::{expire, is_any_due, prune};
pub(crate) use key::{First, RequestKey, by_key, release_key};
pub(crate) use query::{
    Asked, HandOut, Open, has_another, has_open_change_of_run, has_open_delete, image_of_open,
    is_pulled_later, of_container, of_request, open, open_by_kind, rebuilding, registry_of_open,
    stalled_removals,
};
pub(crate) use row::{Kind, OutcomeKind, Record};
