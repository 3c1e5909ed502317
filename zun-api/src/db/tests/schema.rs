//! The migrations.

use std::collections::BTreeSet;

use diesel::QueryableByName;
use diesel::RunQueryDsl;
use diesel::sql_types::Text;

use super::{Fixture, on_both};
use crate::db::{
    Conn, MigrationHarness, POSTGRES_MIGRATIONS, SQLITE_MIGRATIONS, alive, container, host,
    migrate, now, operation,
};

on_both! {
    a_database_of_each_former_schema_opens_and_each_step_can_be_taken_back
    the_declared_tables_are_those_of_the_migrations
}

pub(super) fn pending(conn: &mut Conn) -> usize {
    let pending = match conn {
        Conn::Sqlite(conn) => conn.run_pending_migrations(SQLITE_MIGRATIONS).map(|done| done.len()),
        Conn::Postgres(conn) => {
            conn.run_pending_migrations(POSTGRES_MIGRATIONS).map(|done| done.len())
        }
    };
    pending.expect("the newest schema")
}

pub(super) fn step_back(conn: &mut Conn) {
    let reverted = match conn {
        Conn::Sqlite(conn) => conn.revert_last_migration(SQLITE_MIGRATIONS).map(drop),
        Conn::Postgres(conn) => conn.revert_last_migration(POSTGRES_MIGRATIONS).map(drop),
    };
    reverted.expect("one step back");
}

fn a_database_of_each_former_schema_opens_and_each_step_can_be_taken_back(fixture: &Fixture) {
    let mut conn = fixture.connect();
    let steps = pending(&mut conn);
    for back in 1..=steps {
        (0..back).for_each(|_| step_back(&mut conn));
        assert_eq!(pending(&mut conn), back);
        alive(&mut conn).expect("it answers");
    }
}

fn the_declared_tables_are_those_of_the_migrations(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    assert_eq!(host::all(&mut conn).expect("hosts are read").len(), 0);
    let at = now(&mut conn).expect("a time");
    assert_eq!(operation::expire(&mut conn, at).expect("operations are read").len(), 0);
    assert_eq!(
        container::assigned(&mut conn, &"h".parse().expect("a name"))
            .expect("containers are read")
            .len(),
        0
    );
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

fn columns(fixture: &Fixture) -> BTreeSet<String> {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    let query = match conn {
        Conn::Sqlite(_) => {
            "SELECT t.name || '.' || c.name || CASE WHEN c.\"notnull\" THEN '' ELSE '?' END AS name \
             FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'"
        }
        Conn::Postgres(_) => {
            "SELECT table_name || '.' || column_name || CASE is_nullable WHEN 'NO' THEN '' ELSE '?' END AS name \
             FROM information_schema.columns WHERE table_schema = 'public'"
        }
    };
    let found: Vec<Column> = diesel::sql_query(query).load(&mut conn).expect("the columns");
    found.into_iter().map(|column| column.name).filter(|name| !name.starts_with("__")).collect()
}

#[test]
fn both_databases_have_the_same_tables_and_columns() {
    let sqlite = columns(&Fixture::sqlite());
    assert!(
        sqlite.contains("containers.uuid") && sqlite.contains("containers.host?"),
        "{sqlite:?}"
    );
    assert_eq!(sqlite, columns(&Fixture::postgres()));
}
