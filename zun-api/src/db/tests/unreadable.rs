//! Rows that this build cannot read do not keep zun-api from the others.

use diesel::prelude::*;
use zun_common::id::{Epoch, HostName};
use zun_common::rpc::operation::Outcome;
use zun_common::status::Status;

use super::claims::{add_host, claims_are_exact, name, resources};
use super::claims_together::{create, delete};
use super::restored::report;
use super::{Fixture, on_both};
use crate::db::container::{self, Applied, Scope};
use crate::db::operation::{self, OutcomeKind};
use crate::db::{Conn, host, migrate, now, transaction};

on_both! {
    a_container_that_cannot_be_read_does_not_keep_its_host_from_the_others
    a_container_that_cannot_be_read_is_removed
    operations_expire_besides_those_that_cannot_be_read
    a_host_that_cannot_be_read_is_left_out
}

fn execute(conn: &mut Conn, statement: &str) {
    diesel::sql_query(statement).execute(conn).expect("changed");
}

fn prepared(fixture: &Fixture) -> (Conn, HostName) {
    let (mut conn, host) = (fixture.connect(), name(0));
    migrate(&mut conn).expect("migrated");
    add_host(&mut conn, &host, resources(4000, 4096));
    (conn, host)
}

/// Two containers, of which the first cannot be read.
fn two(conn: &mut Conn, host: &HostName) -> [zun_common::id::ContainerId; 2] {
    let ids = [(); 2].map(|()| {
        transaction(conn, |conn| create(conn, host, resources(100, 16))).expect("created")
    });
    let future = format!("UPDATE containers SET spec = '{{}}' WHERE uuid = '{}'", ids[0]);
    execute(conn, &future);
    container::by_id(conn, &Scope::All, ids[0]).expect_err("it cannot be read");
    ids
}

fn a_container_that_cannot_be_read_does_not_keep_its_host_from_the_others(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let ids = two(&mut conn, &host);
    let mut assigned: Vec<_> = container::assigned(&mut conn, &host)
        .expect("read")
        .into_iter()
        .map(|one| (one.id, one.status))
        .collect();
    assigned.sort_by_key(|(id, _)| ids.iter().position(|other| other == id));
    assert_eq!(assigned, ids.map(|id| (id, Status::Creating)));
    // Its reports are stored, so that its host does not repeat them.
    let running = report(ids[0], &host, Status::Running);
    let applied = container::apply(&mut conn, Epoch(1), &running).expect("stored");
    assert!(matches!(applied, Applied::Stale), "{applied:?}");
    let assigned = container::assigned(&mut conn, &host).expect("read");
    let reported = assigned.iter().find(|one| one.id == ids[0]).expect("assigned");
    assert_eq!(reported.status, Status::Running);
    assert!(reported.reported.is_some());
}

fn a_container_that_cannot_be_read_is_removed(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let [id, _] = two(&mut conn, &host);
    let removal = transaction(&mut conn, |conn| delete(conn, id)).expect("accepted");
    let gone = report(id, &host, Status::Deleted);
    let applied = container::apply(&mut conn, Epoch(1), &gone).expect("confirmed");
    assert!(matches!(applied, Applied::Gone(_)), "{applied:?}");
    let removal = removal.expect("it is there");
    operation::settle(&mut conn, removal, &Outcome::Succeeded).expect("settled");
    claims_are_exact(&mut conn);
    assert_eq!(container::assigned(&mut conn, &host).expect("read").len(), 1);
}

fn operations_expire_besides_those_that_cannot_be_read(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let ids = two(&mut conn, &host);
    execute(&mut conn, "UPDATE operations SET not_after = '2001-01-01 00:00:00'");
    execute(&mut conn, "UPDATE hosts SET inventory = 'from the future'");
    let at = now(&mut conn).expect("a time");
    let expire = |conn: &mut Conn| transaction(conn, |conn| operation::expire(conn, at));
    expire(&mut conn).expect("expired");
    for id in ids {
        let outcome = operation::of_container(&mut conn, id).expect("read")[0].outcome;
        assert!(
            matches!(outcome, Some(OutcomeKind::Expired | OutcomeKind::Unknown)),
            "{outcome:?}"
        );
        let assigned = container::assigned(&mut conn, &host).expect("read");
        assert!(assigned.iter().all(|one| one.status == Status::Error), "{assigned:?}");
    }
}

fn a_host_that_cannot_be_read_is_left_out(fixture: &Fixture) {
    let (mut conn, _) = prepared(fixture);
    add_host(&mut conn, &name(1), resources(4000, 4096));
    execute(&mut conn, "UPDATE hosts SET inventory = 'from the future' WHERE name = 'h1'");
    let names: Vec<_> = host::all(&mut conn).expect("read").into_iter().map(|it| it.name).collect();
    assert_eq!(names, [name(0)]);
}
