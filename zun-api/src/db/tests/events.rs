//! The events: who follows them skips none and gets none twice.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use zun_common::api::v1::event::{EventAction, EventType};

use super::{Fixture, on_both};
use crate::db::container::Scope;
use crate::db::event::{
    self, About, NewEvent, Page, Position, Selection, forget_foreign_transactions, prune, read,
    start,
};
use crate::db::schema::events::dsl;
use crate::db::{Conn, DbError, migrate, now, transaction};

on_both! {
    events_are_read_in_order_page_by_page_and_only_those_of_the_scope
    a_reader_without_a_position_begins_now_and_one_with_a_time_then
    old_events_and_those_beyond_the_limit_are_deleted
    a_position_beyond_the_end_of_an_older_database_is_its_end
}

fn ready(fixture: &Fixture) -> Conn {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    conn
}

fn write(conn: &mut Conn, project: &str, name: &str) -> Result<(), DbError> {
    let about = About {
        kind: EventType::Container,
        project,
        id: name.to_owned(),
        name,
        image: Some("cirros"),
        host: None,
    };
    event::write(conn, &about, vec![NewEvent::of(EventAction::Start)])
}

fn all() -> Selection {
    Selection { scope: Scope::All, since: None, until: None }
}

fn names(page: &Page) -> Vec<&str> {
    page.events.iter().map(|event| event.subject.as_str()).collect()
}

/// Reads to the end. Transactions of other databases of the server hold events back too. Returns the names and the
/// position.
fn rest_of(conn: &mut Conn, selection: &Selection, mut after: Position) -> (Vec<String>, Position) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut found = Vec::new();
    loop {
        let page = read(conn, selection, after).expect("a page");
        found.extend(names(&page).into_iter().map(str::to_owned));
        after = page.end;
        if !page.is_full && !page.is_held {
            return (found, after);
        }
        assert!(Instant::now() < deadline, "held back for too long: {found:?}");
    }
}

fn rest(conn: &mut Conn, after: Position) -> (Vec<String>, Position) {
    rest_of(conn, &all(), after)
}

fn events_are_read_in_order_page_by_page_and_only_those_of_the_scope(fixture: &Fixture) {
    let mut conn = ready(fixture);
    let written: Vec<String> = (0..600).map(|number| format!("{number}")).collect();
    for name in &written {
        write(&mut conn, "blue", name).expect("it is written");
    }
    write(&mut conn, "red", "other").expect("it is written");
    let blue = Selection { scope: Scope::Project("blue".parse().expect("a project")), ..all() };
    assert_eq!(rest_of(&mut conn, &blue, Position::FIRST).0, written);
    let first = read(&mut conn, &blue, Position::FIRST).expect("a page");
    assert!(first.is_full && first.events.len() < 600);
    assert_eq!(first.events[0].attributes["name"], "0");
    assert_eq!(first.events[0].attributes["image"], "cirros");
    let (found, end) = rest(&mut conn, Position::FIRST);
    assert_eq!(found.len(), 601);
    assert_eq!(found[..600], written[..]);
    assert_eq!(rest(&mut conn, end), (Vec::new(), end));
}

fn a_reader_without_a_position_begins_now_and_one_with_a_time_then(fixture: &Fixture) {
    let mut conn = ready(fixture);
    write(&mut conn, "blue", "before").expect("it is written");
    let time = now(&mut conn).expect("a time");
    let (position, since) = start(&mut conn, (None, None)).expect("a position");
    write(&mut conn, "blue", "after").expect("it is written");
    let selection = Selection { since, ..all() };
    assert_eq!(rest_of(&mut conn, &selection, position).0, ["after"]);
    let (position, since) = start(&mut conn, (None, Some(time))).expect("a position");
    let selection = Selection { since, ..all() };
    assert_eq!(rest_of(&mut conn, &selection, position).0, ["after"]);
    let until = Selection { until: Some(time), ..all() };
    assert_eq!(rest_of(&mut conn, &until, Position::FIRST).0, ["before"]);
}

fn old_events_and_those_beyond_the_limit_are_deleted(fixture: &Fixture) {
    let mut conn = ready(fixture);
    for name in ["a", "b", "c", "d"] {
        write(&mut conn, "blue", name).expect("it is written");
    }
    let at = now(&mut conn).expect("a time");
    let old = at - TimeDelta::days(8);
    diesel::update(dsl::events.filter(dsl::subject.eq("a")))
        .set(dsl::at.eq(old))
        .execute(&mut conn)
        .expect("an old event");
    let (_, position) = rest(&mut conn, Position::FIRST);
    assert!(!prune(&mut conn, (at - TimeDelta::days(7), 100)).expect("pruned"));
    assert_eq!(rest(&mut conn, Position::FIRST).0, ["b", "c", "d"]);
    assert!(!prune(&mut conn, (at - TimeDelta::days(7), 2)).expect("pruned"));
    assert_eq!(rest(&mut conn, Position::FIRST).0, ["c", "d"]);
    assert!(!prune(&mut conn, (at + TimeDelta::days(1), 2)).expect("pruned"));
    assert_eq!(rest(&mut conn, Position::FIRST).0, [""; 0]);
    // Positions are never given again.
    write(&mut conn, "blue", "e").expect("it is written");
    assert_eq!(rest(&mut conn, position).0, ["e"]);
}

fn a_position_beyond_the_end_of_an_older_database_is_its_end(fixture: &Fixture) {
    let mut conn = ready(fixture);
    write(&mut conn, "blue", "before").expect("it is written");
    let beyond = "9000000000.9000000000".parse().expect("a position");
    let (position, _) = start(&mut conn, (Some(beyond), None)).expect("a position");
    write(&mut conn, "blue", "after").expect("it is written");
    let found = rest(&mut conn, position).0;
    assert!(found.ends_with(&["after".to_owned()]), "{found:?}");
}

/// Of two transactions, the one with the smaller ID of an event ends later. And the other way round: the one that began
/// first writes later.
#[test]
fn an_event_of_a_transaction_that_ends_late_is_not_skipped() {
    let fixture = Fixture::postgres();
    let mut reader = ready(&fixture);
    for begins_first in [true, false] {
        let (mut slow, mut fast) = (fixture.connect(), fixture.connect());
        let (start, _) = start(&mut reader, (None, None)).expect("a position");
        fast.batch_execute("BEGIN").expect("a transaction");
        slow.batch_execute("BEGIN").expect("a transaction");
        if !begins_first {
            fast.batch_execute("SELECT pg_current_xact_id()").expect("an id");
        }
        write(&mut slow, "blue", "slow").expect("it is written");
        write(&mut fast, "blue", "fast").expect("it is written");
        fast.batch_execute("COMMIT").expect("it ends");
        let (mut found, position) = if begins_first {
            let page = read(&mut reader, &all(), start).expect("a page");
            assert!(page.is_held && page.events.is_empty(), "{page:?}");
            (Vec::new(), page.end)
        } else {
            rest(&mut reader, start)
        };
        assert_eq!(found.len(), usize::from(!begins_first), "{found:?}");
        slow.batch_execute("COMMIT").expect("it ends");
        found.extend(rest(&mut reader, position).0);
        let order = if begins_first { ["slow", "fast"] } else { ["fast", "slow"] };
        assert_eq!(found, order);
    }
}

#[test]
fn a_follower_gets_each_event_of_many_concurrent_transactions_once() {
    const WRITERS: usize = 8;
    const EACH: usize = 60;
    let fixture = Fixture::postgres();
    let mut reader = ready(&fixture);
    let (mut position, _) = start(&mut reader, (None, None)).expect("a position");
    let is_over = AtomicBool::new(false);
    let write_some = |writer: usize| {
        let mut conn = fixture.connect();
        let mut kept = Vec::new();
        for number in 0..EACH {
            let name = format!("{writer}-{number}");
            let is_kept = !(writer + number).is_multiple_of(5);
            let pause = format!("SELECT pg_sleep(0.{:03})", (writer * 7 + number * 13) % 11);
            let done = transaction(&mut conn, |conn| {
                write(conn, "blue", &name)?;
                conn.batch_execute(&pause)?;
                is_kept.then_some(()).ok_or(DbError::NoCapacity)
            });
            assert_eq!(done.is_ok(), is_kept);
            kept.extend(is_kept.then_some(name));
        }
        kept
    };
    let (written, found) = std::thread::scope(|scope| {
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write_some(writer))).collect();
        let follower = scope.spawn(|| {
            let (mut found, mut is_last) = (Vec::new(), false);
            while !is_last {
                let is_over = is_over.load(Ordering::SeqCst);
                let page = read(&mut reader, &all(), position).expect("a page");
                found.extend(names(&page).into_iter().map(str::to_owned));
                position = page.end;
                is_last = is_over && !page.is_full && !page.is_held;
            }
            found
        });
        let written: Vec<String> =
            writers.into_iter().flat_map(|writer| writer.join().expect("no panic")).collect();
        is_over.store(true, Ordering::SeqCst);
        (written, follower.join().expect("no panic"))
    });
    assert_eq!(found.len(), written.len(), "none twice");
    let set = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(&found), set(&written));
    // Those of one writer are in its order.
    for writer in 0..WRITERS {
        let of_writer = |names: &[String]| {
            let prefix = format!("{writer}-");
            names.iter().filter(|name| name.starts_with(&prefix)).cloned().collect::<Vec<_>>()
        };
        assert_eq!(of_writer(&found), of_writer(&written));
    }
}

#[test]
fn in_a_server_to_which_the_database_was_restored_followers_continue() {
    let fixture = Fixture::postgres();
    let mut conn = ready(&fixture);
    for name in ["a", "b"] {
        write(&mut conn, "blue", name).expect("it is written");
    }
    // As in a server that has had many more transactions.
    diesel::update(dsl::events).set(dsl::txid.eq(9_000_000_000)).execute(&mut conn).expect("set");
    let ids: Vec<i64> = dsl::events.select(dsl::id).order(dsl::id).load(&mut conn).expect("ids");
    let given: Position = format!("9000000000.{}", ids[0]).parse().expect("a position");
    forget_foreign_transactions(&mut conn).expect("forgotten");
    write(&mut conn, "blue", "c").expect("it is written");
    let (position, _) = start(&mut conn, (Some(given), None)).expect("a position");
    assert_eq!(rest(&mut conn, position).0, ["b", "c"]);
    assert_eq!(rest(&mut conn, Position::FIRST).0, ["a", "b", "c"]);
    // The IDs of this server's own transactions stay.
    let (before, _) = rest(&mut conn, Position::FIRST);
    forget_foreign_transactions(&mut conn).expect("nothing to forget");
    assert_eq!(rest(&mut conn, Position::FIRST).0, before);
    let own: i64 = dsl::events.filter(dsl::txid.gt(0)).count().get_result(&mut conn).expect("one");
    assert_eq!(own, 1);
}
