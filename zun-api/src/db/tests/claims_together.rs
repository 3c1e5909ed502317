//! Claims of transactions that run at the same time.

use diesel::RunQueryDsl;
use futures_util::future::{join, join_all};
use zun_common::id::{ContainerId, Epoch, HostName, OperationId};
use zun_common::rpc::container::Removal;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::host::Heartbeat;
use zun_common::rpc::operation::{Change, Outcome, RegisterAgent, SendHeartbeat};
use zun_common::rpc::{Code, Problem};
use zun_common::units::Resources;

use super::Fixture;
use super::claims::{EXACT, add_host, claims_are_exact, fresh, name, resources};
use crate::db::container::{self, Record, Scope};
use crate::db::host::{self, Growth};
use crate::db::operation::{self, HandOut, NewOperation};
use crate::db::{Conn, Db, DbError, lock, transaction};
use crate::settings::DatabaseUrl;

/// Opens the database: twice on PostgreSQL, where several zun-api share it.
async fn open(fixture: &Fixture, total: Resources) -> Vec<Db> {
    let several = match &fixture.settings.url {
        DatabaseUrl::Sqlite(_) => 1,
        DatabaseUrl::Postgres(_) => 2,
    };
    let mut opened = Vec::new();
    for _ in 0..several {
        opened.push(Db::open(&fixture.settings).await.expect("a database"));
    }
    let mut conn = fixture.connect();
    (0..2).for_each(|host| add_host(&mut conn, &name(host), total));
    opened
}

/// Runs a change that may find no room. Any other failure, such as a deadlock, is one of the test.
async fn change<T, F>(db: &Db, work: F) -> Option<T>
where
    T: Send + 'static,
    F: FnOnce(&mut Conn) -> Result<T, DbError> + Send + 'static,
{
    match db.write_durable(move |conn| transaction(conn, work)).await {
        Ok(done) => Some(done),
        Err(DbError::NoCapacity) => None,
        Err(error) => panic!("{error:?}"),
    }
}

fn accept(conn: &mut Conn, record: &Record, change: Change) -> Result<OperationId, DbError> {
    let request = &CallContext::internal().request;
    let user = &record.user;
    let new =
        NewOperation { subject: record.into(), user, request, key: None, change, limit: None };
    let host = record.host.as_ref().expect("it has a host");
    Ok(operation::accept(conn, host, new)?.operation.id)
}

pub(super) fn create(
    conn: &mut Conn,
    host: &HostName,
    wanted: Resources,
) -> Result<ContainerId, DbError> {
    let record = container::insert(conn, fresh(host, wanted), &EXACT)?;
    let spec = record.spec.clone().for_host(record.project.clone());
    let creation = Change::Create { spec: Box::new(spec), start: true };
    accept(conn, &record, creation)?;
    Ok(record.id)
}

fn update(conn: &mut Conn, id: ContainerId, to: Resources) -> Result<Option<OperationId>, DbError> {
    lock::container(conn, id)?;
    let Some(record) = container::by_id(conn, &Scope::All, id)? else { return Ok(None) };
    let before = record.spec.resources;
    let changed = (record.spec.name.as_str(), to);
    container::amend(conn, id, changed, Growth::Checked(&EXACT))?;
    accept(conn, &record, Change::Update { resources: to, before, rename: None }).map(Some)
}

pub(super) fn delete(conn: &mut Conn, id: ContainerId) -> Result<Option<OperationId>, DbError> {
    lock::container(conn, id)?;
    let Some(record) = container::write_tombstone(conn, id)? else { return Ok(None) };
    operation::supersede(conn, id)?;
    accept(conn, &record, Change::Delete { how: Removal::Force }).map(Some)
}

/// A container is created, gets other limits twice, one of which its host refuses, and may be deleted.
async fn life(db: &Db, number: usize) {
    let host = name(number % 2);
    let Some(id) = change(db, move |conn| create(conn, &host, resources(100, 16))).await else {
        return;
    };
    let more = change(db, move |conn| update(conn, id, resources(150, 16)));
    let less = change(db, move |conn| update(conn, id, resources(100, 8)));
    let (more, _less) = join(more, less).await;
    let refused = Outcome::Failed(Problem::new(Code::Conflict, "no"));
    let settle = async {
        if let Some(operation) = more.flatten() {
            change(db, move |conn| operation::settle(conn, operation, &refused)).await;
        }
    };
    if number.is_multiple_of(3) {
        return settle.await;
    }
    let (removal, ()) = join(change(db, move |conn| delete(conn, id)), settle).await;
    let removal = removal.flatten().expect("it is there");
    if number % 3 == 1 {
        change(db, move |conn| operation::settle(conn, removal, &Outcome::Succeeded)).await;
    }
}

/// The agents of a host register and beat.
async fn agents(db: &Db, host: HostName) {
    let agent = RegisterAgent {
        host: host.clone(),
        engine_id: "e".to_owned(),
        protocol: 2,
        position: None,
        agent: None,
    };
    for _ in 0..4 {
        let agent = agent.clone();
        let registered = db.write_durable(move |conn| host::register(conn, &agent)).await;
        let host::Registration::Begun { registered, .. } = registered.expect("no deadlock") else {
            panic!("the engine is the same")
        };
        for generation in 1..6 {
            let beat = beat(&host, (registered.epoch, generation));
            db.write_relaxed(move |conn| host::beat(conn, &beat, HandOut::All))
                .await
                .expect("no deadlock");
        }
    }
}

pub(super) fn beat(host: &HostName, (epoch, generation): (Epoch, i64)) -> SendHeartbeat {
    let heartbeat = Heartbeat {
        host: host.clone(),
        inventory: None,
        console: None,
        console_trouble: None,
        interval: 5,
        leaving: false,
        generation,
        strays: None,
    };
    SendHeartbeat { epoch, heartbeat, position: None, digest: None, after: 0, sent_at: None }
}

#[tokio::test]
async fn sixty_four_concurrent_claims_into_room_for_forty_give_forty() {
    for fixture in [Fixture::sqlite(), Fixture::postgres()] {
        let opened = open(&fixture, resources(4000, 4096)).await;
        let claim = |number: usize| {
            let db = &opened[number % opened.len()];
            change(db, |conn| create(conn, &name(0), resources(100, 16)))
        };
        let made = join_all((0..64).map(claim)).await;
        assert_eq!(made.into_iter().flatten().count(), 40);
        claims_are_exact(&mut fixture.connect());
    }
}

#[tokio::test]
async fn concurrent_creates_updates_and_deletes_end_with_exact_totals() {
    for fixture in [Fixture::sqlite(), Fixture::postgres()] {
        let opened = open(&fixture, resources(3000, 4096)).await;
        let lives = join_all((0..120).map(|number| life(&opened[number % opened.len()], number)));
        let agents = (0..2).map(|host| agents(&opened[0], name(host)));
        join(lives, join_all(agents)).await;
        let mut conn = fixture.connect();
        claims_are_exact(&mut conn);
        let hosts = host::all(&mut conn).expect("read");
        assert!(hosts.iter().all(|host| host.used.containers >= 10), "{hosts:?}");
    }
}

#[tokio::test]
async fn a_removal_that_five_agents_did_not_survive_rests_for_an_hour() {
    for fixture in [Fixture::sqlite(), Fixture::postgres()] {
        let opened = open(&fixture, resources(4000, 4096)).await;
        let (db, host) = (&opened[0], name(0));
        let id = change(db, |conn| create(conn, &name(0), resources(100, 16))).await;
        let id = id.expect("there is room");
        change(db, move |conn| delete(conn, id)).await.expect("accepted");
        // Each agent receives the removal, and ends.
        let next_receives =
            async || agents_once(db, &host).await.operations.iter().any(|one| one.container == id);
        let mut received = 0;
        while next_receives().await {
            received += 1;
            assert!(received <= 5, "it is not given up");
        }
        // The agent before the first one counts too.
        assert!(received >= 4, "{received}");
        let mut conn = fixture.connect();
        assert_eq!(operation::stalled_removals(&mut conn).expect("read"), 1);
        diesel::sql_query("UPDATE operations SET given_up_at = '2001-01-01 00:00:00'")
            .execute(&mut conn)
            .expect("an hour has passed");
        assert!(next_receives().await);
    }
}

/// An agent registers and sends a heartbeat. Returns what it receives.
async fn agents_once(db: &Db, host: &HostName) -> operation::Open {
    let agent = RegisterAgent {
        host: host.clone(),
        engine_id: "e".to_owned(),
        protocol: 2,
        position: None,
        agent: None,
    };
    let registered = db.write_durable(move |conn| host::register(conn, &agent)).await;
    let host::Registration::Begun { registered, .. } = registered.expect("registered") else {
        panic!("the engine is the same")
    };
    let beat = beat(host, (registered.epoch, 1));
    match db
        .write_relaxed(move |conn| host::beat(conn, &beat, HandOut::All))
        .await
        .expect("accepted")
    {
        host::HeartbeatResult::Stored { open, .. } => open,
        other @ (host::HeartbeatResult::HandsOut
        | host::HeartbeatResult::StaleEpoch
        | host::HeartbeatResult::Older) => {
            panic!("{other:?}")
        }
    }
}
