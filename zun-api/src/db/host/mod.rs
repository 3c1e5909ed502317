//! Hosts: the row, what is asked of rows, and what changes them.

mod change;
mod claim;
mod query;
mod row;

pub(crate) use change::{
    Beaten, Registration, beat, check_epoch, forget_engine, recover, register,
};
pub(crate) use claim::{Growth, change_claim, claim, release};
pub(crate) use query::{all, by_name};
pub(crate) use row::{Liveness, Record};
