//! Following the engine: its events are told within milliseconds; after a gap, and at the start, all of
//! its containers are looked at, and zun-api is asked what should be there.

mod follow;
mod looks;
mod plan;
mod reconcile;

pub(crate) use follow::follow;
pub(crate) use reconcile::reconcile;
