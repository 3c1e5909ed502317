//! Copies of a database.

use diesel::prelude::*;

use super::Fixture;
use super::pages::{ORDINARY, store};
use crate::db::container::Scope;
use crate::db::copy::{CopyError, copy};
use crate::db::schema::{containers, hosts};
use crate::db::{Conn, container, migrate};

fn add_host(conn: &mut Conn) {
    let time = chrono::DateTime::from_timestamp(1_700_000_000, 123_456_789).expect("a time");
    let now = time.naive_utc();
    diesel::insert_into(hosts::table)
        .values((
            (hosts::uuid.eq("u1"), hosts::name.eq("h1"), hosts::engine_up.eq(true)),
            (hosts::cpu_millis.eq(4000), hosts::memory_mib.eq(4096), hosts::leaving.eq(false)),
            (hosts::interval_seconds.eq(5), hosts::report_count.eq(7), hosts::last_seen.eq(now)),
            (hosts::created_at.eq(now), hosts::updated_at.eq(now)),
        ))
        .execute(conn)
        .expect("inserted");
}

fn filled(fixture: &Fixture, count: usize) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    add_host(&mut conn);
    for place in 0..count {
        store(&mut conn, place, &ORDINARY);
    }
    diesel::update(containers::table.filter(containers::id.gt(2)))
        .set(containers::host.eq("h1"))
        .execute(&mut conn)
        .expect("placed");
}

/// Everything that the service reads, as text.
fn contents(fixture: &Fixture) -> Vec<String> {
    let mut conn = fixture.connect();
    let ids: Vec<String> = containers::table
        .select(containers::uuid)
        .order(containers::id)
        .load(&mut conn)
        .expect("ids");
    let mut found: Vec<String> = ids
        .iter()
        .map(|id| container::by_id(&mut conn, &Scope::All, id.parse().expect("an id")))
        .map(|record| format!("{record:?}"))
        .collect();
    found.extend(crate::db::host::all(&mut conn).expect("hosts").iter().map(|host| {
        format!("{} {:?} {} {}", host.name, host.total, host.report_count, host.leaving)
    }));
    found
}

fn copies(from: &Fixture, to: &Fixture) {
    let copied = copy(&from.settings.url, &to.settings.url).expect("copied");
    let rows: Vec<_> = copied.iter().map(|table| (table.table.as_str(), table.rows)).collect();
    assert!(rows.contains(&("hosts", 1)) && rows.contains(&("containers", 1203)), "{rows:?}");
}

#[test]
fn a_copy_has_every_row_and_takes_new_ones_both_ways() {
    let (first, middle, last) = (Fixture::sqlite(), Fixture::postgres(), Fixture::sqlite());
    filled(&first, 1203);
    copies(&first, &middle);
    copies(&middle, &last);
    let expected = contents(&first);
    assert_eq!(contents(&middle), expected);
    assert_eq!(contents(&last), expected);
    for copied in [&middle, &last] {
        // The next IDs are free.
        store(&mut copied.connect(), 5000, &ORDINARY);
        assert_eq!(contents(copied).len(), expected.len() + 1);
    }
}

#[test]
fn a_database_with_rows_is_not_overwritten() {
    let (from, to) = (Fixture::sqlite(), Fixture::postgres());
    filled(&from, 3);
    let mut conn = to.connect();
    migrate(&mut conn).expect("the newest schema");
    add_host(&mut conn);
    let before = contents(&to);
    let refusal = copy(&from.settings.url, &to.settings.url).expect_err("it has rows");
    assert!(matches!(&refusal, CopyError::NotEmpty(table) if table == "hosts"), "{refusal:?}");
    assert_eq!(contents(&to), before);
    let refusal = copy(&from.settings.url, &from.settings.url).expect_err("the same database");
    assert!(matches!(refusal, CopyError::Same), "{refusal:?}");
}

#[tokio::test]
async fn the_file_of_a_running_zun_api_is_not_copied() {
    let (from, to) = (Fixture::sqlite(), Fixture::sqlite());
    let _running = crate::db::Db::open(&from.settings).await.expect("a database");
    let refusal = copy(&from.settings.url, &to.settings.url).expect_err("it is in use");
    assert!(zun_common::chain(&refusal).contains("another zun-api uses"), "{refusal:?}");
}
