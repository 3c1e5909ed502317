//! Follows Docker: reports its events within milliseconds. After a gap, and at the start, inspects all containers and
//! asks zun-api which ones should exist.

mod follow;
mod plan;
mod reconcile;
mod refresh;

pub(crate) use follow::follow;
pub(crate) use reconcile::reconcile;
pub(crate) use refresh::RefreshQueue;
