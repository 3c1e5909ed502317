//! Events: what has happened to containers, images, volumes and networks. The transaction that changes one writes the
//! event. Old events are deleted.
//!
//! Readers follow the events in the order of their positions, each from the last one that it has read. On
//! SQLite, IDs are given in the order of the commits. On PostgreSQL they are not: a transaction that took an ID may
//! still run when one with a greater ID has ended. So a position there begins with the ID of the transaction, and only
//! rows of transactions before all that still run are read. No later row can come before those.

mod position;
mod prune;
mod read;
mod write;

pub(crate) use position::Position;
pub(in crate::db) use position::forget_foreign_transactions;
pub(crate) use prune::prune;
pub(crate) use read::{Page, Recorded, Selection, read, start};
pub(crate) use write::{About, NewEvent, write};
