//! Claims: the totals of each host are exactly what its containers hold.

use diesel::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use zun_common::id::{ContainerId, HostName};
use zun_common::rpc::operation::RegisterAgent;
use zun_common::units::{Cpus, Mebibytes, Resources};

use super::pages::spec;
use super::schema::{pending, step_back};
use super::{Fixture, on_both};
use crate::db::container::{
    Fresh, PlacementResult, Record, Scope, amend, assigned, by_id, confirm_removal, insert, purge,
    set_limits, write_tombstone,
};
use crate::db::host::{self, ClaimSettings, Growth};
use crate::db::schema::{containers, hosts, projects};
use crate::db::{Conn, DbError, migrate, transaction};
use crate::settings::{PlacementStrategy, QuotaSettings, SchedulerSettings};

on_both! {
    any_sequence_of_changes_keeps_the_totals_exact
    a_host_that_shrinks_takes_no_more_and_its_containers_stay
    a_larger_claim_is_refused_and_changes_nothing
    a_claim_is_released_once
    the_migration_counts_what_is_there
}

pub(super) const EXACT: ClaimSettings = ClaimSettings {
    scheduler: SchedulerSettings {
        cpu_ratio: 1.0,
        memory_ratio: 1.0,
        disk_ratio: 1.0,
        networks: 28,
        strategy: PlacementStrategy::Spread,
        image_preference: 0.0,
    },
    quotas: QuotaSettings::UNLIMITED,
};

pub(super) fn resources(millis: u32, mib: u64) -> Resources {
    Resources { cpus: Cpus::from_millis(millis), memory: Mebibytes(mib) }
}

pub(super) fn name(host: usize) -> HostName {
    format!("h{host}").parse().expect("a name")
}

/// Makes a host with these resources.
pub(super) fn add_host(conn: &mut Conn, host: &HostName, total: Resources) {
    let agent = RegisterAgent {
        host: host.clone(),
        engine_id: "e".to_owned(),
        protocol: 2,
        position: None,
        agent: None,
    };
    host::register(conn, &agent).expect("registered");
    resize(conn, host, total);
}

fn resize(conn: &mut Conn, host: &HostName, total: Resources) {
    diesel::update(hosts::table.filter(hosts::name.eq(host.as_str())))
        .set((
            hosts::cpu_millis.eq(i64::from(total.cpus.millis())),
            hosts::memory_mib.eq(i64::try_from(total.memory.0).expect("small")),
            hosts::disk_gib.eq(1000),
        ))
        .execute(conn)
        .expect("resized");
}

/// A container that is placed on this host.
pub(super) fn fresh(host: &HostName, wanted: Resources) -> Fresh {
    let id = ContainerId::random();
    Fresh {
        id,
        project: "blue".parse().expect("a project"),
        user: "ann".parse().expect("a user"),
        spec: spec(&format!("c-{id}"), "cirros", wanted),
        start_wanted: true,
        placement_result: PlacementResult::Placed(host.clone()),
    }
}

fn create(conn: &mut Conn, host: &HostName, wanted: Resources) -> Result<Record, DbError> {
    transaction(conn, |conn| insert(conn, fresh(host, wanted), &EXACT))
}

#[derive(Debug, PartialEq, Eq, QueryableByName)]
struct Wrong {
    #[diesel(sql_type = Text)]
    what: String,
    #[diesel(sql_type = BigInt)]
    recounted: i64,
    #[diesel(sql_type = BigInt)]
    stored: i64,
}

/// Checks that the totals of each host are the sums of the claims, and that exactly those containers hold one which are
/// on a host that has not confirmed their removal.
pub(super) fn claims_are_exact(conn: &mut Conn) {
    let held = "FROM containers c WHERE c.host = h.name AND c.claim_held";
    let total = |what: &str, sum: &str| {
        format!(
            "SELECT h.name || ' {what}' AS what, h.{what} AS stored, \
             (SELECT CAST(coalesce({sum}, 0) AS BIGINT) {held}) AS recounted FROM hosts h"
        )
    };
    let of_project = |what: &str, sum: &str| {
        format!(
            "SELECT p.project_id || ' {what}' AS what, p.{what} AS stored, \
             (SELECT CAST(coalesce({sum}, 0) AS BIGINT) FROM containers c \
             WHERE c.project_id = p.project_id AND c.gone_at IS NULL) AS recounted FROM projects p"
        )
    };
    let projects = [
        of_project("used_containers", "count(*)"),
        of_project("used_cpu_millis", "sum(CASE WHEN claim_held THEN cpu_millis ELSE 0 END)"),
        of_project("used_memory_mib", "sum(CASE WHEN claim_held THEN memory_mib ELSE 0 END)"),
        of_project("used_disk_gib", "sum(CASE WHEN claim_held THEN disk_gib ELSE 0 END)"),
        // Every project with containers has a row.
        "SELECT c.project_id AS what, 0 AS stored, CAST(count(*) AS BIGINT) AS recounted FROM containers c \
         WHERE c.gone_at IS NULL AND c.project_id NOT IN (SELECT project_id FROM projects) GROUP BY c.project_id"
            .to_owned(),
    ];
    let query = format!(
        "SELECT * FROM ({} UNION ALL {} UNION ALL {} UNION ALL {} UNION ALL {} UNION ALL \
         SELECT uuid AS what, CAST(claim_held AS INTEGER) AS stored, \
         CASE WHEN host IS NOT NULL AND gone_at IS NULL THEN 1 ELSE 0 END AS recounted FROM containers) t \
         WHERE stored <> recounted",
        total("used_cpu_millis", "sum(cpu_millis)"),
        total("used_memory_mib", "sum(memory_mib)"),
        total("used_disk_gib", "sum(disk_gib)"),
        total("used_containers", "count(*)"),
        projects.join(" UNION ALL "),
    );
    let wrong: Vec<Wrong> = diesel::sql_query(query).load(conn).expect("recounted");
    assert_eq!(wrong, []);
}

fn used(conn: &mut Conn, host: &HostName) -> (u32, u64, u64) {
    let used = host::by_name(conn, host).expect("read").expect("a host").used;
    (used.claimed.cpus.millis(), used.claimed.memory.0, used.containers)
}

#[derive(Debug, Clone)]
enum Step {
    Create { host: usize, wanted: Resources },
    Amend { which: usize, wanted: Resources },
    Restore { which: usize, before: Resources },
    WriteTombstone { which: usize },
    Confirm { which: usize },
    Resize { host: usize, total: Resources },
    Purge,
}

fn step() -> impl Strategy<Value = Step> {
    let amount =
        || (0..4_u32, 0..4_u64).prop_map(|(cpus, memory)| resources(cpus * 500, memory * 64));
    let total = (0..8_u32, 0..8_u64).prop_map(|(cpus, memory)| resources(cpus * 500, memory * 64));
    prop_oneof![
        4 => (0..2_usize, amount()).prop_map(|(host, wanted)| Step::Create { host, wanted }),
        3 => (0..8_usize, amount()).prop_map(|(which, wanted)| Step::Amend { which, wanted }),
        2 => (0..8_usize, amount()).prop_map(|(which, before)| Step::Restore { which, before }),
        2 => (0..8_usize).prop_map(|which| Step::WriteTombstone { which }),
        3 => (0..8_usize).prop_map(|which| Step::Confirm { which }),
        1 => (0..2_usize, total).prop_map(|(host, total)| Step::Resize { host, total }),
        1 => Just(Step::Purge),
    ]
}

/// Carries out a step. `false` if there is no room for it.
fn take(conn: &mut Conn, made: &mut Vec<ContainerId>, step: &Step) -> Result<bool, DbError> {
    let at = |which: usize| made.get(which % made.len().max(1)).copied();
    let done = match *step {
        Step::Create { host, wanted } => {
            create(conn, &name(host), wanted).map(|record| made.push(record.id))
        }
        Step::Amend { which, wanted } => at(which).map_or(Ok(()), |id| {
            transaction(conn, |conn| {
                amend(conn, id, (&format!("n-{id}"), wanted), Growth::Checked(&EXACT))
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
        Step::Resize { host, total } => {
            resize(conn, &name(host), total);
            Ok(())
        }
        Step::Purge => crate::db::now(conn).and_then(|at| purge(conn, at)).map(drop),
    };
    match done {
        Ok(()) => Ok(true),
        Err(DbError::NoCapacity) => Ok(false),
        Err(error) => Err(error),
    }
}

/// What is offered but not claimed. Negative if more is claimed.
fn room(conn: &mut Conn) -> Vec<(i64, i64)> {
    hosts::table
        .order(hosts::name)
        .select((
            hosts::cpu_millis - hosts::used_cpu_millis,
            hosts::memory_mib - hosts::used_memory_mib,
        ))
        .load(conn)
        .expect("read")
}

fn any_sequence_of_changes_keeps_the_totals_exact(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    (0..2).for_each(|host| add_host(&mut conn, &name(host), resources(2000, 256)));
    let mut runner =
        TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let steps = proptest::collection::vec(step(), 1..40);
    let conn = std::cell::RefCell::new(conn);
    let outcome = runner.run(&steps, |steps| {
        let conn = &mut *conn.borrow_mut();
        diesel::delete(containers::table).execute(conn).expect("cleared");
        diesel::delete(projects::table).execute(conn).expect("cleared");
        diesel::update(hosts::table)
            .set((
                (
                    hosts::used_cpu_millis.eq(0),
                    hosts::used_memory_mib.eq(0),
                    hosts::used_disk_gib.eq(0),
                    hosts::used_containers.eq(0),
                ),
                (hosts::cpu_millis.eq(2000), hosts::memory_mib.eq(256)),
            ))
            .execute(conn)
            .expect("cleared");
        let mut made = Vec::new();
        for step in steps {
            let before = room(conn);
            let is_checked = matches!(step, Step::Create { .. } | Step::Amend { .. });
            take(conn, &mut made, &step)
                .map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            claims_are_exact(conn);
            for (before, after) in before.into_iter().zip(room(conn)) {
                // A checked change never takes what is not there.
                prop_assert!(!is_checked || after.0 >= before.0.min(0), "{before:?} {after:?}");
                prop_assert!(!is_checked || after.1 >= before.1.min(0), "{before:?} {after:?}");
            }
        }
        Ok(())
    });
    outcome.expect("the totals are exact");
}

fn a_host_that_shrinks_takes_no_more_and_its_containers_stay(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    let (host, conn) = (name(0), &mut conn);
    add_host(conn, &host, resources(4000, 1024));
    let first = create(conn, &host, resources(1000, 512)).expect("there is room").id;
    let second = create(conn, &host, resources(1000, 512)).expect("there is room").id;
    resize(conn, &host, resources(4000, 600));
    let refused = create(conn, &host, resources(100, 16)).expect_err("no memory is free");
    assert!(matches!(refused, DbError::NoCapacity), "{refused:?}");
    let checked = Growth::Checked(&EXACT);
    let mut change = |id, (millis, mib)| {
        transaction(conn, |conn| amend(conn, id, ("a", resources(millis, mib)), checked))
    };
    // What does not grow needs no room.
    change(first, (2000, 256)).expect("it gives memory back").expect("it is there");
    let refused = change(first, (2000, 257)).expect_err("no memory is free");
    assert!(matches!(refused, DbError::NoCapacity), "{refused:?}");
    assert_eq!(used(conn, &host), (3000, 768, 2));
    write_tombstone(conn, second).expect("deleted");
    assert_eq!(used(conn, &host), (3000, 768, 2));
    confirm_removal(conn, second).expect("confirmed");
    assert_eq!(used(conn, &host), (2000, 256, 1));
    create(conn, &host, resources(100, 344)).expect("there is room again");
    claims_are_exact(conn);
}

fn a_larger_claim_is_refused_and_changes_nothing(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    let (host, conn) = (name(0), &mut conn);
    add_host(conn, &host, resources(1000, 1000));
    let scheduler = SchedulerSettings { cpu_ratio: 2.0, memory_ratio: 1.1, ..EXACT.scheduler };
    let twice = ClaimSettings { scheduler, ..EXACT };
    let mut try_insert = |wanted| {
        let fresh = fresh(&host, wanted);
        transaction(conn, |conn| insert(conn, fresh, &twice)).map(drop)
    };
    try_insert(resources(1000, 600)).expect("there is room");
    for (wanted, why) in [
        (resources(1001, 1), "a container gets at most what the host has"),
        (resources(1, 501), "the ratio of memory"),
    ] {
        let refused = try_insert(wanted).expect_err(why);
        assert!(matches!(refused, DbError::NoCapacity), "{why}: {refused:?}");
    }
    try_insert(resources(1000, 500)).expect("the ratios allow it");
    try_insert(resources(1, 0)).expect_err("the ratio of CPUs");
    assert_eq!(used(conn, &host), (2000, 1100, 2));
    assert_eq!(assigned(conn, &host).expect("read").len(), 2);
    claims_are_exact(conn);
}

fn a_claim_is_released_once(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    let (host, conn) = (name(0), &mut conn);
    add_host(conn, &host, resources(4000, 1024));
    let [kept, gone] = [100, 200]
        .map(|millis| create(conn, &host, resources(millis, 64)).expect("there is room").id);
    confirm_removal(conn, gone).expect("it is not deleted");
    assert_eq!(used(conn, &host), (300, 128, 2));
    write_tombstone(conn, gone).expect("deleted");
    for _ in 0..3 {
        confirm_removal(conn, gone).expect("confirmed");
        assert_eq!(used(conn, &host), (100, 64, 1));
    }
    assert!(by_id(conn, &Scope::All, kept).expect("read").is_some());
    claims_are_exact(conn);
}

fn the_migration_counts_what_is_there(fixture: &Fixture) {
    let mut conn = fixture.connect();
    migrate(&mut conn).expect("the newest schema");
    let conn = &mut conn;
    (0..3).for_each(|host| add_host(conn, &name(host), resources(4000, 1024)));
    let made: Vec<ContainerId> = (0..6_usize)
        .map(|number| create(conn, &name(number % 2), resources(100, 64)).expect("room").id)
        .collect();
    // Two are deleted, and one of these removals is confirmed. One was never placed.
    write_tombstone(conn, made[0]).expect("deleted");
    write_tombstone(conn, made[1]).expect("deleted");
    confirm_removal(conn, made[1]).expect("confirmed");
    let no_host = PlacementResult::NoHost { reason: String::new(), detail: String::new() };
    let unplaced = Fresh { placement_result: no_host, ..fresh(&name(0), resources(100, 64)) };
    insert(conn, unplaced, &EXACT).expect("inserted");
    let before: Vec<_> = (0..3).map(|host| used(conn, &name(host))).collect();
    assert_eq!(before, [(300, 192, 3), (200, 128, 2), (0, 0, 0)]);
    let has_claims = |conn: &mut Conn| {
        diesel::sql_query("SELECT claim_held FROM containers").execute(conn).is_ok()
    };
    assert!(has_claims(conn));
    while has_claims(conn) {
        step_back(conn);
    }
    assert!(pending(conn) > 0);
    let after: Vec<_> = (0..3).map(|host| used(conn, &name(host))).collect();
    assert_eq!(after, before);
    claims_are_exact(conn);
}
