//! Tests of the database, on SQLite and on PostgreSQL.

mod fixture;
mod schema;

use fixture::{Fixture, on_both};
