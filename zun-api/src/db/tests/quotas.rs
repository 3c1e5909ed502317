//! Quotas: no project has more than it may, and the stored usage matches its containers.

use std::cell::{Cell, RefCell};

use diesel::RunQueryDsl as _;
use futures_util::future::join_all;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use zun_common::id::{ContainerId, ProjectId};
use zun_common::units::{Gibibytes, Resources};

use super::claims::{EXACT, add_host, claims_are_exact, fresh, name, resources};
use super::schema::step_back;
use super::{Fixture, on_both};
use crate::db::container::{
    Fresh, PlacementResult, amend, confirm_removal, insert, purge, set_limits, write_tombstone,
};
use crate::db::host::{ClaimSettings, Growth};
use crate::db::quota::{self, Amounts, Limits};
use crate::db::{Conn, Db, DbError, migrate, now, transaction};
use crate::settings::{DatabaseUrl, QuotaSettings};

on_both! {
    a_request_beyond_the_quota_is_refused_with_what_is_used_and_allowed
    a_container_without_a_host_counts_only_as_a_container
    a_limit_below_what_is_used_stops_growth_and_nothing_else
    any_sequence_of_changes_keeps_the_usage_exact
    the_migration_counts_what_projects_have
}

const FEW: ClaimSettings = ClaimSettings {
    quotas: QuotaSettings { containers: 3, cpu: 2, memory: 256, disk: 10 },
    ..EXACT
};

fn blue() -> ProjectId {
    "blue".parse().expect("a project")
}

fn placed(millis: u32, mib: u64, disk: Option<u64>) -> Fresh {
    let mut fresh = fresh(&name(0), resources(millis, mib));
    fresh.spec.disk = disk.map(Gibibytes);
    fresh
}

fn create(conn: &mut Conn, fresh: Fresh) -> Result<ContainerId, DbError> {
    transaction(conn, |conn| insert(conn, fresh, &FEW)).map(|record| record.id)
}

fn remove(conn: &mut Conn, id: ContainerId) {
    write_tombstone(conn, id).expect("deleted");
    transaction(conn, |conn| confirm_removal(conn, id)).expect("confirmed");
}

fn used(conn: &mut Conn) -> (i64, i64, i64, i64) {
    let Amounts { containers, cpu_millis, memory_mib, disk_gib } =
        quota::usage(conn, &blue()).expect("read");
    (containers, cpu_millis, memory_mib, disk_gib)
}

fn refusal(done: Result<ContainerId, DbError>) -> String {
    let error = done.expect_err("beyond the quota");
    let DbError::OverQuota(over) = error else { panic!("{error:?}") };
    over.to_string()
}

fn prepared(fixture: &Fixture) -> Conn {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    add_host(&mut conn, &name(0), resources(1_000_000, 1_000_000));
    conn
}

fn a_request_beyond_the_quota_is_refused_with_what_is_used_and_allowed(fixture: &Fixture) {
    let conn = &mut prepared(fixture);
    let first = create(conn, placed(1500, 128, Some(4))).expect("within the quota");
    assert_eq!(used(conn), (1, 1500, 128, 4));
    let words = refusal(create(conn, placed(600, 200, Some(7))));
    assert_eq!(
        words,
        "The quota of the project is exceeded: 0.6 CPUs requested, 1.5 of 2 in use; 200 MiB of memory requested, 128 of 256 in use; 7 GiB of disk requested, 4 of 10 in use."
    );
    let second = create(conn, placed(0, 0, None)).expect("within the quota");
    create(conn, placed(0, 0, None)).expect("within the quota");
    let words = refusal(create(conn, placed(0, 0, None)));
    assert_eq!(
        words,
        "The quota of the project is exceeded: 1 containers requested, 3 of 3 in use."
    );
    // Another project has its own.
    let other = Fresh { project: "red".parse().expect("a project"), ..placed(2000, 256, None) };
    create(conn, other).expect("within the quota");
    // A deleted container counts until its host has removed it.
    write_tombstone(conn, second).expect("deleted");
    refusal(create(conn, placed(0, 0, None)));
    transaction(conn, |conn| confirm_removal(conn, second)).expect("confirmed");
    create(conn, placed(0, 0, None)).expect("within the quota");
    remove(conn, first);
    assert_eq!(used(conn), (2, 0, 0, 0));
    claims_are_exact(conn);
}

fn a_container_without_a_host_counts_only_as_a_container(fixture: &Fixture) {
    let conn = &mut prepared(fixture);
    let no_host = || Fresh {
        placement_result: PlacementResult::NoHost { reason: String::new(), detail: String::new() },
        ..placed(2000, 256, Some(10))
    };
    let ids = [(); 3].map(|()| create(conn, no_host()).expect("within the quota"));
    assert_eq!(used(conn), (3, 0, 0, 0));
    refusal(create(conn, no_host()));
    remove(conn, ids[0]);
    assert_eq!(used(conn), (2, 0, 0, 0));
    claims_are_exact(conn);
}

fn a_limit_below_what_is_used_stops_growth_and_nothing_else(fixture: &Fixture) {
    let conn = &mut prepared(fixture);
    let id = create(conn, placed(1000, 128, Some(4))).expect("within the quota");
    let limits = Limits { memory_mib: Some(64), ..Limits::default() };
    quota::set(conn, &blue(), &limits).expect("set");
    let mut change = |to: Resources| {
        let changed = |conn: &mut Conn| amend(conn, id, ("a", to), Growth::Checked(&FEW));
        transaction(conn, changed).map(|_| id)
    };
    change(resources(2000, 128)).expect("CPUs are left");
    change(resources(2000, 100)).expect("it gives memory back");
    let words = refusal(change(resources(2000, 101)));
    assert_eq!(
        words,
        "The quota of the project is exceeded: 1 MiB of memory requested, 100 of 64 in use."
    );
    change(resources(1000, 100)).expect("it gives CPUs back");
    // The host has other limits than were asked for: that is so, whatever the quota says.
    transaction(conn, |conn| set_limits(conn, id, resources(3000, 300))).expect("set");
    assert_eq!(used(conn), (1, 3000, 300, 4));
    let unlimited = Limits { memory_mib: Some(-1), cpus: Some(-1), ..Limits::default() };
    quota::set(conn, &blue(), &unlimited).expect("set");
    create(conn, placed(100_000, 10_000, Some(6))).expect("there is no limit");
    quota::reset(conn, &blue()).expect("reset");
    let shown = quota::project(conn, &blue(), &FEW.quotas).expect("read");
    assert_eq!((shown.containers, shown.cpus, shown.memory_mib, shown.disk_gib), (3, 2, 256, 10));
    quota::set_class(conn, &Limits { containers: Some(7), ..Limits::default() }).expect("set");
    let shown = quota::project(conn, &blue(), &FEW.quotas).expect("read");
    assert_eq!((shown.containers, shown.cpus), (7, 2));
    claims_are_exact(conn);
}

#[derive(Debug, Clone)]
enum Step {
    Create { project: usize, wanted: Resources, disk: u64, no_host: bool },
    Amend { which: usize, wanted: Resources },
    Restore { which: usize, before: Resources },
    WriteTombstone { which: usize },
    Confirm { which: usize },
    Limit { project: usize, limit: i64 },
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    let amount =
        || (0..4_u32, 0..4_u64).prop_map(|(cpus, memory)| resources(cpus * 250, memory * 32));
    prop_oneof![
        6 => (0..2_usize, amount(), 0..4_u64, any::<bool>()).prop_map(
            |(project, wanted, disk, no_host)| Step::Create { project, wanted, disk, no_host }
        ),
        3 => (0..8_usize, amount()).prop_map(|(which, wanted)| Step::Amend { which, wanted }),
        2 => (0..8_usize, amount()).prop_map(|(which, before)| Step::Restore { which, before }),
        2 => (0..8_usize).prop_map(|which| Step::WriteTombstone { which }),
        4 => (0..8_usize).prop_map(|which| Step::Confirm { which }),
        1 => (0..2_usize, -1..6_i64).prop_map(|(project, limit)| Step::Limit { project, limit }),
        1 => Just(Step::Purge),
    ]
}

/// Carries out a step. `false` if the quota forbids it.
fn take(conn: &mut Conn, made: &mut Vec<ContainerId>, step: &Step) -> Result<bool, DbError> {
    let at = |which: usize| made.get(which % made.len().max(1)).copied();
    let project = |number: usize| -> ProjectId { format!("p{number}").parse().expect("a project") };
    let done = match *step {
        Step::Create { project: number, wanted, disk, no_host } => {
            let mut new = fresh(&name(0), wanted);
            new.project = project(number);
            new.spec.disk = (disk > 0).then_some(Gibibytes(disk));
            if no_host {
                new.placement_result =
                    PlacementResult::NoHost { reason: String::new(), detail: String::new() };
            }
            create(conn, new).map(|id| made.push(id))
        }
        Step::Amend { which, wanted } => at(which).map_or(Ok(()), |id| {
            transaction(conn, |conn| {
                amend(conn, id, (&format!("n-{id}"), wanted), Growth::Checked(&FEW))
            })
            .map(drop)
        }),
        Step::Restore { which, before } => at(which)
            .map_or(Ok(()), |id| transaction(conn, |conn| set_limits(conn, id, before)).map(drop)),
        Step::WriteTombstone { which } => {
            at(which).map_or(Ok(()), |id| write_tombstone(conn, id).map(drop))
        }
        Step::Confirm { which } => {
            at(which).map_or(Ok(()), |id| transaction(conn, |conn| confirm_removal(conn, id)))
        }
        Step::Limit { project: number, limit } => {
            let limits = Limits { containers: Some(limit), ..Limits::default() };
            quota::set(conn, &project(number), &limits)
        }
        Step::Purge => now(conn).and_then(|at| purge(conn, at)).map(drop),
    };
    match done {
        Ok(()) => Ok(true),
        Err(DbError::OverQuota(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// 10,000 operations in the long form of the tests.
fn any_sequence_of_changes_keeps_the_usage_exact(fixture: &Fixture) {
    let (conn, refused) = (RefCell::new(prepared(fixture)), Cell::new(0));
    let is_long = std::env::var_os("ZUN_TEST_LONG").is_some_and(|value| !value.is_empty());
    let cases = if is_long { 100 } else { 4 };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(step(), 100);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        let conn = &mut *conn.borrow_mut();
        let mut made = Vec::new();
        for step in steps {
            let done = take(conn, &mut made, &step)
                .map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            refused.set(refused.get() + usize::from(!done));
        }
        claims_are_exact(conn);
        for id in made {
            write_tombstone(conn, id).expect("deleted");
            transaction(conn, |conn| confirm_removal(conn, id)).expect("confirmed");
        }
        for project in ["p0", "p1"] {
            let used = quota::usage(conn, &project.parse().expect("a project")).expect("read");
            prop_assert_eq!(used, Amounts::default());
        }
        Ok(())
    });
    outcome.expect("the usage is exact");
    assert!(refused.get() > 0, "no step was refused");
}

fn the_migration_counts_what_projects_have(fixture: &Fixture) {
    let conn = &mut prepared(fixture);
    create(conn, placed(500, 64, Some(3))).expect("within the quota");
    let deleted = create(conn, placed(250, 32, Some(2))).expect("within the quota");
    write_tombstone(conn, deleted).expect("deleted");
    let no_host = PlacementResult::NoHost { reason: String::new(), detail: String::new() };
    create(conn, Fresh { placement_result: no_host, ..placed(500, 64, None) })
        .expect("within the quota");
    let before = used(conn);
    assert_eq!(before, (3, 750, 96, 5));
    let has_quotas =
        |conn: &mut Conn| diesel::sql_query("SELECT 1 FROM projects").execute(conn).is_ok();
    while has_quotas(conn) {
        step_back(conn);
    }
    migrate(conn).expect("the newest schema");
    assert_eq!(used(conn), before);
    claims_are_exact(conn);
}

/// Returns whether the quota allowed it.
async fn create_in(db: &Db, settings: &ClaimSettings) -> bool {
    let settings = *settings;
    let insert = move |conn: &mut Conn| {
        transaction(conn, |conn| insert(conn, placed(100, 16, Some(1)), &settings))
    };
    match db.write_durable(insert).await {
        Ok(_record) => true,
        Err(DbError::OverQuota(_)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn sixty_four_concurrent_creates_into_a_quota_of_forty_give_forty() {
    for fixture in [Fixture::sqlite(), Fixture::postgres()] {
        drop(prepared(&fixture));
        let mut opened = vec![Db::open(&fixture.settings).await.expect("a database")];
        if matches!(fixture.settings.url, DatabaseUrl::Postgres(_)) {
            opened.push(Db::open(&fixture.settings).await.expect("a database"));
        }
        let settings = ClaimSettings {
            quotas: QuotaSettings { containers: 40, ..QuotaSettings::UNLIMITED },
            ..EXACT
        };
        let create = |number: usize| create_in(&opened[number % opened.len()], &settings);
        let made = join_all((0..64).map(create)).await;
        assert_eq!(made.into_iter().filter(|made| *made).count(), 40);
        let mut conn = fixture.connect();
        assert_eq!(used(&mut conn), (40, 4000, 640, 40));
        claims_are_exact(&mut conn);
    }
}
