//! A database that was restored from an older copy.

use diesel::prelude::*;
use zun_common::id::{ContainerId, Epoch, HostName, RequestId};
use zun_common::rpc::digest::{Digest, ReportHash};
use zun_common::rpc::operation::{Change, LedgerPosition, RegisterAgent};
use zun_common::rpc::report::{ContainerReport, LiveState, RunReport};
use zun_common::status::Status;

use super::claims::{EXACT, add_host, fresh, name, resources};
use super::{Fixture, on_both};
use crate::db::container::{self, insert};
use crate::db::host::{self, Registration};
use crate::db::operation::{self, Accepted, NewOperation, OutcomeKind};
use crate::db::{Conn, cluster, migrate, transaction};

on_both! {
    what_may_only_be_done_once_is_unknown_if_the_agent_may_have_received_it
    an_operation_with_the_number_of_another_is_noticed_until_the_recovery_has_ended
    the_digest_has_what_is_reported_of_a_hosts_containers
}

/// Accepts a signal to a new container.
fn kill(conn: &mut Conn, host: &HostName) -> (ContainerId, Accepted) {
    transaction(conn, |conn| {
        let record = insert(conn, fresh(host, resources(100, 16)), &EXACT)?;
        let new = NewOperation {
            subject: (&record).into(),
            user: &record.user,
            request: &RequestId::random(),
            key: None,
            change: Change::Kill { signal: "SIGHUP".to_owned() },
            limit: None,
        };
        Ok((record.id, operation::accept(conn, host, new)?))
    })
    .expect("accepted")
}

/// Registers an agent whose last operation was this one. Returns whether the host is recovering.
fn register(conn: &mut Conn, host: &HostName, position: Option<&Accepted>) -> bool {
    let cluster = cluster::id(conn).expect("an id");
    let position = position.map(|last| LedgerPosition {
        cluster,
        epoch: Epoch(1),
        sequence: last.operation.sequence,
        operation: Some(last.operation.id),
        compared: None,
    });
    let engine_id = "e".to_owned();
    let agent = RegisterAgent { host: host.clone(), engine_id, protocol: 3, position, agent: None };
    match host::register(conn, &agent).expect("registered") {
        Registration::Begun { is_recovering, .. } => is_recovering,
        Registration::Refused { refusal, .. } => panic!("{refusal:?}"),
    }
}

fn what_may_only_be_done_once_is_unknown_if_the_agent_may_have_received_it(fixture: &Fixture) {
    let (mut conn, host) = (fixture.connect(), name(0));
    migrate(&mut conn).expect("migrated");
    add_host(&mut conn, &host, resources(4000, 4096));
    let [(first, received), (second, later)] = [(); 2].map(|()| kill(&mut conn, &host));
    diesel::sql_query("UPDATE operations SET epoch = NULL")
        .execute(&mut conn)
        .expect("the copy does not have who received them");
    assert!(!register(&mut conn, &host, Some(&received)));
    let mut outcome = |id| operation::of_container(&mut conn, id).expect("read")[0].outcome;
    assert_eq!((outcome(first), outcome(second)), (Some(OutcomeKind::Unknown), None));
    assert!(!register(&mut conn, &host, Some(&later)));
    let ended = operation::of_container(&mut conn, second).expect("read");
    assert_eq!(ended[0].outcome, Some(OutcomeKind::Unknown));
}

fn an_operation_with_the_number_of_another_is_noticed_until_the_recovery_has_ended(
    fixture: &Fixture,
) {
    let (mut conn, host) = (fixture.connect(), name(0));
    migrate(&mut conn).expect("migrated");
    add_host(&mut conn, &host, resources(4000, 4096));
    let (_, mut known) = kill(&mut conn, &host);
    assert!(!register(&mut conn, &host, Some(&known)));
    known.operation.id = zun_common::id::OperationId::random();
    assert!(register(&mut conn, &host, Some(&known)));
    assert!(register(&mut conn, &host, None), "only an administrator ends it");
    assert!(host::recover(&mut conn, &host).expect("recovered"));
    assert!(!register(&mut conn, &host, Some(&known)));
    let (_, next) = kill(&mut conn, &host);
    assert!(next.operation.sequence > known.operation.sequence);
    known.operation.sequence = next.operation.sequence;
    assert!(register(&mut conn, &host, Some(&known)), "it is another copy");
}

pub(super) fn report(container: ContainerId, host: &HostName, status: Status) -> ContainerReport {
    let run = RunReport { number: 1, raw_started: None, started_at: None, end: None };
    ContainerReport {
        container,
        host: host.clone(),
        generation: 1,
        status,
        task_state: None,
        status_reason: None,
        engine: None,
        exit_code: None,
        oom_killed: false,
        started_at: None,
        finished_at: None,
        attached: 0,
        image_pull: None,
        runs: vec![run],
        live: LiveState::default(),
    }
}

fn the_digest_has_what_is_reported_of_a_hosts_containers(fixture: &Fixture) {
    let (mut conn, host) = (fixture.connect(), name(0));
    migrate(&mut conn).expect("migrated");
    add_host(&mut conn, &host, resources(4000, 4096));
    let (id, _) = kill(&mut conn, &host);
    let digest = |conn: &mut Conn| container::digest(conn, &host).expect("read");
    assert_eq!(digest(&mut conn), Digest::default(), "nothing was reported");
    container::apply(&mut conn, Epoch(1), &report(id, &host, Status::Running)).expect("applied");
    let reported: Digest = [ReportHash::of(id, 1, ("Running", None))].into_iter().collect();
    assert_eq!(digest(&mut conn), reported);
    let assigned = container::assigned(&mut conn, &host).expect("read");
    assert_eq!(assigned[0].reported.into_iter().collect::<Digest>(), reported);
    for lost in ["task_state = 'container_killing'", "task_state = NULL, status = 'Created'"] {
        let statement = format!("UPDATE containers SET {lost}");
        diesel::sql_query(statement).execute(&mut conn).expect("lost");
        assert_ne!(digest(&mut conn), reported);
    }
    container::write_tombstone(&mut conn, id).expect("deleted");
    assert_eq!(digest(&mut conn), Digest::default());
}
