//! The writer, the readers, and the lock of an SQLite file.

use std::sync::mpsc;
use std::time::Duration;

use diesel::prelude::*;
use futures_util::future::join_all;
use tokio::task::spawn_blocking;

use super::Fixture;
use crate::db::schema::hosts::dsl;
use crate::db::{Conn, Db, DbError, transaction, transaction_with_retry};

fn add(conn: &mut Conn, name: &str) -> Result<(), DbError> {
    let now = chrono::Utc::now().naive_utc();
    diesel::insert_into(dsl::hosts)
        .values((
            (dsl::uuid.eq(name), dsl::name.eq(name), dsl::engine_up.eq(true)),
            (dsl::cpu_millis.eq(0), dsl::memory_mib.eq(0), dsl::interval_seconds.eq(5)),
            (dsl::leaving.eq(false), dsl::report_count.eq(0), dsl::last_seen.eq(now)),
            (dsl::created_at.eq(now), dsl::updated_at.eq(now)),
        ))
        .execute(conn)?;
    Ok(())
}

/// Fails for each fourth number, because of a duplicate, after it has written something.
fn add_some(conn: &mut Conn, name: &str, number: usize) -> Result<(), DbError> {
    add(conn, name)?;
    if number.is_multiple_of(4) { add(conn, name) } else { Ok(()) }
}

fn names(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    Ok(dsl::hosts.select(dsl::name).order(dsl::name).load(conn)?)
}

fn count(conn: &mut Conn) -> Result<i64, DbError> {
    Ok(dsl::hosts.count().get_result(conn)?)
}

/// Counts after adding: what the writer sees, and what another connection sees.
fn add_and_count(conn: &mut Conn, mut outside: Conn, name: &str) -> Result<(i64, i64), DbError> {
    add(conn, name)?;
    Ok((count(conn)?, count(&mut outside)?))
}

async fn promise_host(db: Db, outside: Conn, name: &'static str) -> Result<(i64, i64), DbError> {
    db.write_durable(move |conn| add_and_count(conn, outside, name)).await
}

/// Occupies the writer until the sender is dropped. The receiver hears when it has begun.
fn occupy(db: &Db) -> (mpsc::Sender<()>, mpsc::Receiver<()>) {
    let (release, released) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let db = db.clone();
    let holding = async move {
        db.write_relaxed(move |_conn| {
            begin.send(()).expect("the test waits");
            released.recv().expect_err("the sender is dropped");
            Ok(())
        })
        .await
    };
    tokio::task::spawn_local(holding);
    (release, begun)
}

async fn wait_for(begun: mpsc::Receiver<()>) {
    let received = spawn_blocking(move || begun.recv_timeout(Duration::from_secs(10)));
    received.await.expect("no panic").expect("it begins");
}

async fn locally<F: Future<Output = ()>>(test: F) {
    tokio::task::LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_failed_piece_of_work_undoes_only_its_own_changes() {
    for fixture in [Fixture::sqlite(), Fixture::postgres()] {
        let db = Db::open(&fixture.settings).await.expect("a database");
        let work = |number: usize| {
            let name = format!("h{number:02}");
            db.write_durable(move |conn| transaction(conn, |conn| add_some(conn, &name, number)))
        };
        let done = join_all((0..40).map(work)).await;
        let failed: Vec<_> = (0..40).filter(|number| done[*number].is_err()).collect();
        assert_eq!(failed, (0..40).step_by(4).collect::<Vec<_>>());
        let expected: Vec<_> = (0..40)
            .filter(|number| number % 4 != 0)
            .map(|number| format!("h{number:02}"))
            .collect();
        assert_eq!(db.read(names).await.expect("names"), expected);
    }
}

#[tokio::test]
async fn readers_do_not_wait_for_the_writer() {
    let fixture = Fixture::sqlite();
    let db = Db::open(&fixture.settings).await.expect("a database");
    locally(async {
        let (release, begun) = occupy(&db);
        wait_for(begun).await;
        let read = tokio::time::timeout(Duration::from_secs(5), db.read(count)).await;
        assert_eq!(read.expect("in time").expect("a count"), 0);
        drop(release);
    })
    .await;
}

#[tokio::test]
async fn a_reader_cannot_write_to_sqlite() {
    let fixture = Fixture::sqlite();
    let db = Db::open(&fixture.settings).await.expect("a database");
    let refusal = db.read(|conn| add(conn, "h1")).await.expect_err("a reader");
    assert!(zun_common::chain(&refusal).contains("readonly"), "{refusal:?}");
}

#[tokio::test]
async fn work_that_waits_together_shares_a_commit() {
    let fixture = Fixture::sqlite();
    let db = Db::open(&fixture.settings).await.expect("a database");
    locally(async {
        let (release, begun) = occupy(&db);
        wait_for(begun).await;
        let queued = ["h1", "h2"].map(|name| {
            tokio::task::spawn_local(promise_host(db.clone(), fixture.connect(), name))
        });
        tokio::task::yield_now().await;
        drop(release);
        let mut counts = Vec::new();
        for queued in queued {
            counts.push(queued.await.expect("no panic").expect("written"));
        }
        // The second sees what the first wrote, which no other connection sees yet.
        assert_eq!(counts, [(1, 0), (2, 0)]);
        assert_eq!(db.read(count).await.expect("a count"), 2);
    })
    .await;
}

#[tokio::test]
async fn a_panic_fails_its_work_and_the_writer_continues() {
    let fixture = Fixture::sqlite();
    let db = Db::open(&fixture.settings).await.expect("a database");
    let panicked = db
        .write_durable(|conn| -> Result<(), DbError> {
            add(conn, "h1")?;
            panic!("a defect")
        })
        .await;
    assert!(matches!(panicked, Err(DbError::Panicked)), "{panicked:?}");
    // This one leaves a transaction of its own open.
    let panicked = db
        .write_durable(|conn| {
            transaction(conn, |conn| -> Result<(), DbError> {
                add(conn, "h2")?;
                panic!("a defect")
            })
        })
        .await;
    assert!(panicked.is_err(), "{panicked:?}");
    db.write_durable(|conn| add(conn, "h3")).await.expect("written");
    assert_eq!(db.read(names).await.expect("names"), ["h3"]);
}

#[tokio::test]
async fn a_second_zun_api_on_the_same_file_is_refused_until_the_first_closes_it() {
    let fixture = Fixture::sqlite();
    let first = Db::open(&fixture.settings).await.expect("a database");
    let Err(refusal) = Db::open(&fixture.settings).await else { panic!("two writers") };
    assert!(matches!(refusal, DbError::Locked { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("another zun-api uses the database file"), "{refusal}");
    first.write_durable(|conn| add(conn, "h1")).await.expect("written");
    first.close().await;
    let late = first.write_durable(|conn| add(conn, "h2")).await.expect_err("it is closed");
    assert!(matches!(late, DbError::Busy(_)), "{late:?}");
    let second = Db::open(&fixture.settings).await.expect("the file is free");
    assert_eq!(second.read(names).await.expect("names"), ["h1"]);
}

#[tokio::test]
async fn a_full_queue_is_busy_and_does_not_wait_for_ever() {
    let fixture = Fixture::sqlite();
    let db = Db::open(&fixture.settings).await.expect("a database");
    locally(async {
        let (release, begun) = occupy(&db);
        wait_for(begun).await;
        tokio::time::pause();
        let queued = join_all((0..1100).map(|_| db.write_relaxed(count))).await;
        assert!(queued.iter().all(|done| matches!(done, Err(DbError::Busy(_)))));
        tokio::time::resume();
        drop(release);
        // Work whose caller gave up is not done.
        assert_eq!(db.write_relaxed(count).await.expect("a count"), 0);
    })
    .await;
}

#[tokio::test]
async fn only_facts_are_committed_without_a_sync() {
    let fixture = Fixture::sqlite();
    let db = Db::open(&fixture.settings).await.expect("a database");
    let level = |conn: &mut Conn| -> Result<i32, DbError> {
        #[derive(QueryableByName)]
        struct Level {
            #[diesel(sql_type = diesel::sql_types::Integer)]
            synchronous: i32,
        }
        let level: Level = diesel::sql_query("PRAGMA synchronous").get_result(conn)?;
        Ok(level.synchronous)
    };
    // 1 is NORMAL, 2 is FULL.
    assert_eq!(db.write_relaxed(level).await.expect("a level"), 1);
    assert_eq!(db.write_durable(level).await.expect("a level"), 2);
    assert_eq!(db.write_relaxed(level).await.expect("a level"), 1);

    let fixture = Fixture::postgres();
    let db = Db::open(&fixture.settings).await.expect("a database");
    let setting = |conn: &mut Conn| -> Result<String, DbError> {
        let setting =
            diesel::dsl::sql::<diesel::sql_types::Text>("current_setting('synchronous_commit')");
        Ok(diesel::select(setting).get_result(conn)?)
    };
    assert_eq!(db.write_relaxed(setting).await.expect("a setting"), "off");
    assert_eq!(db.write_durable(setting).await.expect("a setting"), "on");
}

/// The process of the connection in PostgreSQL.
fn backend(conn: &mut Conn) -> Result<i32, DbError> {
    let pid = diesel::dsl::sql::<diesel::sql_types::Integer>("pg_backend_pid()");
    Ok(diesel::select(pid).get_result(conn)?)
}

/// Ends the connection of another session, and waits until it has ended.
fn terminate(outside: &mut Conn, pid: i32) -> Result<(), DbError> {
    let ended = format!("pg_terminate_backend({pid}, 10000)");
    let ended: bool =
        diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>(&ended)).get_result(outside)?;
    assert!(ended, "the session has ended");
    Ok(())
}

#[tokio::test]
async fn a_connection_that_is_lost_in_a_transaction_or_its_commit_may_be_tried_again() {
    let fixture = Fixture::postgres();
    let db = Db::open(&fixture.settings).await.expect("a database");
    for afterwards in [&["h2"][..], &[]] {
        let mut outside = fixture.connect();
        let work = move |conn: &mut Conn| {
            add(conn, "h1")?;
            let pid = backend(conn)?;
            terminate(&mut outside, pid)?;
            afterwards.iter().try_for_each(|name| add(conn, name))
        };
        let lost = db.write_durable(move |conn| transaction(conn, work)).await;
        let lost = lost.expect_err("the connection is lost");
        assert!(lost.is_transient(), "{lost:?}");
    }
    assert_eq!(db.read(names).await.expect("a new connection"), [""; 0]);
}

fn count_report(conn: &mut Conn, name: &str) -> Result<(), DbError> {
    diesel::update(dsl::hosts.filter(dsl::name.eq(name)))
        .set(dsl::report_count.eq(dsl::report_count + 1))
        .execute(conn)?;
    Ok(())
}

#[tokio::test]
async fn a_deadlock_is_resolved_by_repeating_one_transaction() {
    let fixture = Fixture::postgres();
    let db = Db::open(&fixture.settings).await.expect("a database");
    db.write_durable(|conn| add(conn, "h1").and_then(|()| add(conn, "h2"))).await.expect("added");
    let both_began = std::sync::Arc::new(std::sync::Barrier::new(2));
    let count_reports = |order: [&'static str; 2]| {
        let (both_began, mut is_first) = (std::sync::Arc::clone(&both_began), true);
        let work = move |conn: &mut Conn| {
            let [first, second] = order;
            count_report(conn, first)?;
            // The repeated one waits for nobody.
            let _leader = std::mem::take(&mut is_first).then(|| both_began.wait());
            count_report(conn, second)
        };
        db.write_durable(move |conn| transaction_with_retry(conn, work))
    };
    let (one, other) =
        futures_util::join!(count_reports(["h1", "h2"]), count_reports(["h2", "h1"]));
    one.and(other).expect("neither fails");
    let counts = |conn: &mut Conn| Ok(dsl::hosts.select(dsl::report_count).load::<i64>(conn)?);
    assert_eq!(db.read(counts).await.expect("counts"), [2, 2]);
}
