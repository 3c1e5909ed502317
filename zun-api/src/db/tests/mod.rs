//! Tests of the database, on SQLite and on PostgreSQL.

mod copy;
mod figures;
mod fixture;
mod pages;
mod schema;
mod writing;

use fixture::{Fixture, on_both};
