//! Pulls and removals of one image that wait for each other.

use zun_common::api::v1::image::ImageStatus;
use zun_common::id::{HostName, OperationId};
use zun_common::rpc::container::PullPolicy;
use zun_common::rpc::envelope::CallContext;
use zun_common::rpc::operation::{Change, Outcome};
use zun_common::rpc::{Code, Problem};

use super::claims::{add_host, name, resources};
use super::{Fixture, on_both};
use crate::db::container::Scope;
use crate::db::image::{self, Record, Requested};
use crate::db::operation::{self, NewOperation, Subject};
use crate::db::{Conn, migrate, transaction};

on_both! {
    a_pull_that_was_accepted_after_a_removal_is_not_lost_when_the_removal_ends
    an_image_is_available_if_a_later_pull_succeeds
}

fn accept(conn: &mut Conn, record: &Record, change: Change) -> OperationId {
    let request = &CallContext::internal().request;
    let subject = Subject { id: record.id.subject(), project: &record.project };
    let user = &record.user;
    let new = NewOperation { subject, user, request, key: None, change, limit: None };
    let accepted = transaction(conn, |conn| operation::accept(conn, &record.host, new));
    accepted.expect("accepted").operation.id
}

fn pull(conn: &mut Conn, host: &HostName) -> (Record, OperationId) {
    let requested = Requested {
        project: "blue".parse().expect("a project"),
        user: "ann".parse().expect("a user"),
        host: host.clone(),
        repo: "busybox".to_owned(),
        tag: "1".to_owned(),
        platform: None,
    };
    let record = image::request(conn, requested).expect("stored");
    let change = Change::PullImage {
        image: "busybox:1".to_owned(),
        platform: None,
        policy: PullPolicy::Always,
        registry: None,
        project: None,
    };
    let operation = accept(conn, &record, change);
    (record, operation)
}

fn prepared(fixture: &Fixture) -> (Conn, HostName) {
    let (mut conn, host) = (fixture.connect(), name(0));
    migrate(&mut conn).expect("migrated");
    add_host(&mut conn, &host, resources(4000, 4096));
    (conn, host)
}

fn settle(conn: &mut Conn, operation: OperationId, outcome: &Outcome) {
    let settled = transaction(conn, |conn| operation::settle(conn, operation, outcome));
    assert!(settled.expect("settled").ended.is_some(), "the operation is in the ledger");
}

fn status(conn: &mut Conn, record: &Record) -> Option<ImageStatus> {
    image::by_id(conn, &Scope::All, record.id).expect("read").map(|image| image.status)
}

fn a_pull_that_was_accepted_after_a_removal_is_not_lost_when_the_removal_ends(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let conn = &mut conn;
    let (record, first) = pull(conn, &host);
    settle(conn, first, &Outcome::Succeeded);
    image::mark_deleting(conn, record.id).expect("stored");
    let removal = accept(conn, &record, Change::RemoveImage { image: "busybox:1".to_owned() });
    let (again, second) = pull(conn, &host);
    assert_eq!(again.id, record.id);
    settle(conn, removal, &Outcome::Succeeded);
    assert_eq!(status(conn, &record), Some(ImageStatus::Pulling));
    settle(conn, second, &Outcome::Succeeded);
    assert_eq!(status(conn, &record), Some(ImageStatus::Available));
    let removal = accept(conn, &record, Change::RemoveImage { image: "busybox:1".to_owned() });
    settle(conn, removal, &Outcome::Succeeded);
    assert_eq!(status(conn, &record), None);
}

fn an_image_is_available_if_a_later_pull_succeeds(fixture: &Fixture) {
    let (mut conn, host) = prepared(fixture);
    let conn = &mut conn;
    let failed = Outcome::Failed(Problem::new(Code::Engine, "no"));
    let (record, first) = pull(conn, &host);
    let (_, second) = pull(conn, &host);
    settle(conn, first, &failed);
    assert_eq!(status(conn, &record), Some(ImageStatus::Pulling));
    settle(conn, second, &Outcome::Succeeded);
    assert_eq!(status(conn, &record), Some(ImageStatus::Available));
    // An outcome that was not certain is replaced by a late one.
    let (_, third) = pull(conn, &host);
    settle(conn, third, &Outcome::Unknown);
    assert_eq!(status(conn, &record), Some(ImageStatus::Error));
    settle(conn, third, &Outcome::Succeeded);
    assert_eq!(status(conn, &record), Some(ImageStatus::Available));
}
