//! The ledger: lists of open operations, time limits, and what is deleted.

use std::thread;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use zun_common::id::{ContainerId, Epoch, HostName, OperationId, RequestId};
use zun_common::rpc::operation::{Change, Outcome, Rename, SendHeartbeat};
use zun_common::rpc::{Code, Problem};
use zun_common::status::{Health, Status};

use super::claims::{EXACT, add_host, fresh, name, resources};
use super::claims_together::beat;
use super::restored::report;
use super::{Fixture, on_both};
use crate::app::containers::{check_health, heal};
use crate::db::container::{self, Fresh, Record, Scope};
use crate::db::host::{self, Growth, HeartbeatResult, Liveness};
use crate::db::operation::{self, Accepted, Asked, HandOut, Kind, NewOperation, OutcomeKind};
use crate::db::{Conn, migrate, now, transaction};

on_both! {
    a_host_gets_operations_that_come_after_many_others
    operations_of_live_agents_do_not_keep_others_from_their_end
    a_refused_update_gives_the_former_name_back_however_it_ends
    the_names_of_several_updates_go_back_to_the_last_one_that_holds
    a_container_stays_until_its_host_has_carried_out_its_removal
    old_operations_are_deleted_except_the_newest_of_a_container
    of_the_accesses_to_a_container_the_newest_stay
    an_unhealthy_container_is_restarted_until_a_restart_succeeds
    a_heartbeat_hands_out_operations_only_if_that_is_stored_durably
    a_heartbeat_that_has_waited_does_not_count_as_sent_now
}

fn of_the_accesses_to_a_container_the_newest_stay(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let (record, other) = (insert(&mut conn, &host), insert(&mut conn, &host));
    let access = |record: &Record, kind| operation::Access {
        container: record.id,
        project: record.project.clone(),
        user: record.user.clone(),
        request: RequestId::random(),
        kind,
        outcome: Outcome::Succeeded,
    };
    let mut write = |access: &operation::Access| {
        transaction(&mut conn, |conn| operation::record_access(conn, access)).expect("recorded");
    };
    let newest = access(&record, Kind::Execute);
    write(&access(&other, Kind::Execute));
    write(&access(&record, Kind::Attach));
    for _ in 0..200 {
        write(&access(&record, Kind::Execute));
    }
    write(&newest);
    let mut listed_of =
        |record: &Record| operation::of_container(&mut conn, record.id).expect("read");
    let listed = listed_of(&record);
    assert_eq!(listed.first().map(|one| one.request.clone()), Some(newest.request.to_string()));
    let count = |kind| listed.iter().filter(|one| one.kind == kind).count();
    assert_eq!(count(Kind::Execute), 200);
    assert_eq!(count(Kind::Attach), 1);
    assert_eq!(listed_of(&other).len(), 1);
}

fn prepared(fixture: &Fixture) -> (Conn, HostName) {
    let (mut conn, host) = (fixture.connect(), name(0));
    migrate(&mut conn).expect("migrated");
    add_host(&mut conn, &host, resources(4000, 4096));
    (conn, host)
}

fn execute(conn: &mut Conn, statement: &str) {
    diesel::sql_query(statement).execute(conn).expect("changed");
}

fn insert(conn: &mut Conn, host: &HostName) -> Record {
    let fresh = fresh(host, resources(100, 16));
    transaction(conn, |conn| container::insert(conn, fresh, &EXACT)).expect("inserted")
}

fn accept(conn: &mut Conn, record: &Record, change: Change) -> Accepted {
    let new = NewOperation {
        subject: record.into(),
        user: &record.user,
        request: &RequestId::random(),
        key: None,
        change,
        limit: Some(TimeDelta::seconds(60)),
    };
    let host = record.host.as_ref().expect("a host");
    transaction(conn, |conn| operation::accept(conn, host, new)).expect("accepted")
}

fn outcome(conn: &mut Conn, operation: OperationId) -> Option<OutcomeKind> {
    use crate::db::schema::operations::dsl;
    let outcome: Option<String> = dsl::operations
        .filter(dsl::uuid.eq(operation.to_string()))
        .select(dsl::outcome)
        .first(conn)
        .expect("it is there");
    outcome.map(|outcome| outcome.parse().expect("an outcome"))
}

fn failed() -> Outcome {
    Outcome::Failed(Problem::new(Code::Engine, "it failed"))
}

fn a_host_gets_operations_that_come_after_many_others(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let record = insert(&mut conn, &host);
    // Tests list four operations at a time.
    let wanted: Vec<i64> =
        (0..10).map(|_| accept(&mut conn, &record, Change::Pause).operation.sequence).collect();
    let at = now(&mut conn).expect("a time");
    let last = *wanted.last().expect("ten");
    let (mut after, mut listed, mut pages) = (0, Vec::new(), 0);
    loop {
        let (epoch, hand_out) = (Epoch(1), HandOut::All);
        let asked = Asked { epoch, last_sequence: last, after, hand_out };
        let open = operation::open(&mut conn, &host, asked, at).expect("read").expect("listed");
        listed.extend(open.operations.iter().map(|operation| operation.sequence));
        pages += 1;
        after = open.complete_to;
        if !open.has_more {
            break;
        }
    }
    assert_eq!((listed, pages, after), (wanted, 3, last));
}

/// Makes all open operations due, one second after another in their order, and the host's last heartbeat this old.
fn overdue(conn: &mut Conn, host: &HostName, seen: &str) {
    let set = match conn {
        Conn::Sqlite(_) => "datetime('2001-01-01', '+' || id || ' seconds')",
        Conn::Postgres(_) => "timestamp '2001-01-01' + id * interval '1 second'",
    };
    execute(conn, &format!("UPDATE operations SET not_after = {set} WHERE host = '{host}'"));
    execute(
        conn,
        &format!(
            "UPDATE hosts SET last_seen = '{seen}', leaving = {}, interval_seconds = 5 WHERE name = '{host}'",
            match conn {
                Conn::Sqlite(_) => "0",
                Conn::Postgres(_) => "false",
            }
        ),
    );
}

fn text(at: NaiveDateTime) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

fn operations_of_live_agents_do_not_keep_others_from_their_end(fixture: &Fixture) {
    let (mut conn, alive) = prepared(fixture);
    let silent = name(1);
    add_host(&mut conn, &silent, resources(4000, 4096));
    let at = now(&mut conn).expect("a time");
    let busy = insert(&mut conn, &alive);
    // Tests read four rows at a time.
    let busy: Vec<_> = (0..9).map(|_| accept(&mut conn, &busy, Change::Pause)).collect();
    let record = insert(&mut conn, &silent);
    let lost = accept(&mut conn, &record, Change::Pause).operation.id;
    overdue(&mut conn, &alive, &text(at));
    assert!(!operation::is_any_due(&mut conn, at).expect("read"), "their agent is at work");
    overdue(&mut conn, &silent, "2001-01-01 00:00:00");
    assert!(operation::is_any_due(&mut conn, at).expect("read"));
    let ended = transaction(&mut conn, |conn| operation::expire(conn, at)).expect("expired");
    assert_eq!(ended.len(), 1);
    assert_eq!(outcome(&mut conn, lost), Some(OutcomeKind::Unknown));
    assert!(busy.iter().all(|one| outcome(&mut conn, one.operation.id).is_none()));
}

#[test]
fn what_an_agent_receives_while_its_time_limit_passes_is_unknown_on_postgres() {
    #[derive(QueryableByName)]
    struct Waiting {
        #[diesel(sql_type = BigInt)]
        waiting: i64,
    }
    let fixture = Fixture::postgres();
    let (mut conn, host) = prepared(&fixture);
    let record = insert(&mut conn, &host);
    let signal = Change::Kill { signal: "SIGHUP".to_owned() };
    let kill = accept(&mut conn, &record, signal).operation.id;
    execute(&mut conn, "UPDATE operations SET epoch = NULL");
    overdue(&mut conn, &host, "2001-01-01 00:00:00");
    let mut agent = fixture.connect();
    agent.batch_execute("BEGIN; UPDATE operations SET epoch = 1").expect("listed");
    let mut expiring = fixture.connect();
    let expired = thread::spawn(move || {
        let at = now(&mut expiring).expect("a time");
        transaction(&mut expiring, |conn| operation::expire(conn, at)).map(drop)
    });
    let query = "SELECT count(*) AS waiting FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while !expired.is_finished() {
        let found: Waiting = diesel::sql_query(query).get_result(&mut conn).expect("read");
        if found.waiting > 0 {
            break;
        }
        thread::yield_now();
    }
    agent.batch_execute("COMMIT").expect("the agent has it");
    expired.join().expect("no panic").expect("expired");
    assert_eq!(outcome(&mut conn, kill), Some(OutcomeKind::Unknown));
}

/// Renames and gets other limits.
fn rename(conn: &mut Conn, id: ContainerId, to: &str) -> Accepted {
    let record = container::by_id(conn, &Scope::All, id).expect("read").expect("it is there");
    let limits = record.spec.resources;
    container::amend(conn, id, (to, limits), Growth::Unchecked).expect("renamed");
    let rename = Some(Rename { from: record.spec.name.clone(), to: to.to_owned() });
    accept(conn, &record, Change::Update { resources: limits, before: limits, rename })
}

fn name_of(conn: &mut Conn, id: ContainerId) -> String {
    container::by_id(conn, &Scope::All, id).expect("read").expect("it is there").spec.name
}

fn settle(conn: &mut Conn, operation: &Accepted, outcome: &Outcome) {
    transaction(conn, |conn| operation::settle(conn, operation.operation.id, outcome))
        .expect("settled");
}

fn a_refused_update_gives_the_former_name_back_however_it_ends(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    for (ending, restores) in
        [(failed(), true), (Outcome::Expired, true), (Outcome::Succeeded, false)]
    {
        let record = insert(&mut conn, &host);
        let update = rename(&mut conn, record.id, "other");
        settle(&mut conn, &update, &Outcome::Unknown);
        assert_eq!(name_of(&mut conn, record.id), "other", "it may hold");
        settle(&mut conn, &update, &ending);
        let expected = if restores { record.spec.name.as_str() } else { "other" };
        assert_eq!(name_of(&mut conn, record.id), expected, "{ending:?}");
    }
    // Another container has got the name meanwhile, so this one keeps its new one.
    let record = insert(&mut conn, &host);
    let update = rename(&mut conn, record.id, "third");
    let spec = container::Spec { name: record.spec.name.clone(), ..record.spec.clone() };
    let other = Fresh { spec, ..fresh(&host, resources(100, 16)) };
    transaction(&mut conn, |conn| container::insert(conn, other, &EXACT)).expect("inserted");
    settle(&mut conn, &update, &failed());
    assert_eq!(name_of(&mut conn, record.id), "third");
}

fn the_names_of_several_updates_go_back_to_the_last_one_that_holds(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let record = insert(&mut conn, &host);
    let first = rename(&mut conn, record.id, "second");
    let second = rename(&mut conn, record.id, "third");
    settle(&mut conn, &first, &failed());
    assert_eq!(name_of(&mut conn, record.id), "third", "the later one is open");
    settle(&mut conn, &second, &failed());
    assert_eq!(name_of(&mut conn, record.id), record.spec.name);
}

fn a_container_stays_until_its_host_has_carried_out_its_removal(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let record = insert(&mut conn, &host);
    container::write_tombstone(&mut conn, record.id).expect("deleted").expect("it was there");
    let how = zun_common::rpc::container::Removal::Force;
    let removal = accept(&mut conn, &record, Change::Delete { how });
    // As `zun service delete` does.
    container::confirm_removal(&mut conn, record.id).expect("given up");
    let later = now(&mut conn).expect("a time") + TimeDelta::days(31);
    assert_eq!(container::purge(&mut conn, later).expect("purged"), 0);
    settle(&mut conn, &removal, &Outcome::Succeeded);
    assert_eq!(container::purge(&mut conn, later).expect("purged"), 1);
}

fn old_operations_are_deleted_except_the_newest_of_a_container(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let record = insert(&mut conn, &host);
    let spec = Box::new(record.spec.clone().for_host(record.project.clone()));
    accept(&mut conn, &record, Change::Create { spec, start: true });
    let all: Vec<_> = (0..4).map(|_| accept(&mut conn, &record, Change::Pause)).collect();
    let later = now(&mut conn).expect("a time") + TimeDelta::days(31);
    assert!(!operation::prune(&mut conn, later).expect("pruned"));
    let count = |conn: &mut Conn| operation::of_container(conn, record.id).expect("read").len();
    assert_eq!(count(&mut conn), 5, "they are open");
    execute(
        &mut conn,
        "UPDATE operations SET outcome = 'succeeded', finished_at = '2001-01-01 00:00:00'",
    );
    operation::prune(&mut conn, later).expect("pruned");
    let kept: Vec<_> = operation::of_container(&mut conn, record.id).expect("read");
    assert_eq!(kept.iter().map(|one| one.kind).collect::<Vec<_>>(), [Kind::Pause, Kind::Create]);
    let next = accept(&mut conn, &record, Change::Pause).operation;
    let newest = all.last().expect("four").operation.sequence;
    assert_eq!(next.previous, Some(newest));
}

fn an_unhealthy_container_is_restarted_until_a_restart_succeeds(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let mut wanted = fresh(&host, resources(100, 16));
    wanted.spec.auto_heal = true;
    let record = transaction(&mut conn, |conn| container::insert(conn, wanted, &EXACT)).unwrap();
    let mut state = report(record.id, &host, Status::Running);
    let mut reported = |conn: &mut Conn, health| {
        state.generation += 1;
        state.live.health = Some(health);
        container::apply(conn, Epoch(1), &state).expect("applied");
        container::by_id(conn, &Scope::All, record.id).expect("read").expect("it is there")
    };
    let due = |conn: &mut Conn, minutes| {
        let at = now(conn).expect("a time") + TimeDelta::minutes(minutes);
        overdue(conn, &host, &text(at));
        let due = container::to_heal(conn, at).expect("read");
        let [id] = due.try_into().ok()?;
        Some(transaction(conn, |conn| check_health(conn, id, at)).expect("checked"))
    };
    // A user stops it just now.
    let stop = accept(&mut conn, &record, Change::Stop { grace: None });
    let unhealthy = reported(&mut conn, Health::Unhealthy);
    let accepted = transaction(&mut conn, |conn| heal(conn, &unhealthy)).expect("checked");
    assert!(accepted.is_none(), "{accepted:?}");
    assert!(due(&mut conn, 0).is_none(), "not yet");
    settle(&mut conn, &stop, &failed());
    let first = due(&mut conn, 1).expect("it is checked").expect("and restarted");
    assert!(matches!(first.operation.change, Change::Reboot { .. }), "{first:?}");
    let waits = due(&mut conn, 3).expect("it is checked");
    assert!(waits.is_none(), "the restart is open: {waits:?}");
    settle(&mut conn, &first, &Outcome::Unknown);
    let second = due(&mut conn, 6).expect("it is checked").expect("and restarted again");
    settle(&mut conn, &second, &Outcome::Succeeded);
    reported(&mut conn, Health::Healthy);
    assert!(due(&mut conn, 9).expect("it is checked").is_none());
    assert!(due(&mut conn, 60).is_none(), "it is healthy");
}

fn a_heartbeat_hands_out_operations_only_if_that_is_stored_durably(fixture: &Fixture) {
    use crate::db::schema::operations::dsl;
    let (mut conn, host) = prepared(fixture);
    let record = insert(&mut conn, &host);
    accept(&mut conn, &record, Change::Pause);
    execute(&mut conn, "UPDATE operations SET epoch = NULL");
    let mut beaten = |hand_out| {
        let beat = beat(&host, (Epoch(1), 1));
        let beaten = transaction(&mut conn, |conn| host::beat(conn, &beat, hand_out));
        let epoch: Option<i64> = dsl::operations.select(dsl::epoch).first(&mut conn).expect("read");
        (beaten.expect("stored"), epoch)
    };
    let refused = beaten(HandOut::Known);
    assert!(matches!(refused, (HeartbeatResult::HandsOut, None)), "{refused:?}");
    let handed_out = beaten(HandOut::All);
    assert!(matches!(handed_out, (HeartbeatResult::Stored { .. }, Some(1))), "{handed_out:?}");
    let known = beaten(HandOut::Known);
    assert!(matches!(known, (HeartbeatResult::Stored { .. }, Some(1))), "{known:?}");
}

fn a_heartbeat_that_has_waited_does_not_count_as_sent_now(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    for (generation, (sent_before, down_for)) in
        (1..).zip([(20, Some(20)), (0, None), (-3, None), (3600, None)])
    {
        let at = now(&mut conn).expect("a time");
        let sent_at = Some((at - TimeDelta::seconds(sent_before)).and_utc());
        let beat = SendHeartbeat { sent_at, ..beat(&host, (Epoch(1), generation)) };
        transaction(&mut conn, |conn| host::beat(conn, &beat, HandOut::All)).expect("stored");
        let record = host::by_name(&mut conn, &host).expect("read").expect("it is there");
        let down = match record.liveness(at) {
            Liveness::NoHeartbeat(seconds) => Some(seconds),
            Liveness::Up => None,
            other @ (Liveness::ClockSetBack | Liveness::Left | Liveness::Forced) => {
                panic!("{other:?}")
            }
        };
        assert_eq!(down, down_for, "sent {sent_before} s before");
    }
}
