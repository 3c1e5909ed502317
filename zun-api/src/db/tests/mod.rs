//! Tests of the database, on SQLite and on PostgreSQL.

mod claims;
mod claims_together;
mod copy;
mod events;
mod fixture;
mod images;
mod ledger;
mod pages;
mod quotas;
mod restored;
mod schema;
mod unreadable;
mod writing;

use fixture::{Fixture, on_both};
