//! Tests of the database, on SQLite and on PostgreSQL.

mod figures;
mod fixture;
mod pages;
mod schema;

use fixture::{Fixture, on_both};
