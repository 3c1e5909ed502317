//! Hosts: rows, queries and changes.

mod administer;
mod change;
mod claim;
mod images;
mod query;
mod rival;
mod row;

pub(crate) use administer::{Removed, known, remove, set_disabled, set_forced_down};
pub(crate) use change::{
    HeartbeatResult, Registration, beat, check_epoch, forget_engine, recover, register,
};
pub(crate) use claim::{ClaimSettings, Growth, change_claim, claim, release};
pub(crate) use images::{set_images, with_all_known, with_image};
pub(crate) use query::{alive_epochs, all, beating, by_name, by_name_now};
pub(crate) use row::{Liveness, Record};
