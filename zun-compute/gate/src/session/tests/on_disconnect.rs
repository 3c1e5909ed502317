//! Execs whose clients are all lost.

use zun_common::pty::{DisconnectSignal, OnDisconnect};

use super::*;

const GRACE: Duration = Duration::from_secs(30);

fn exec() -> Session {
    session_of(Process { kind: SessionKind::Exec, tty: true, stdin: true, running: true })
}

fn asks() -> ClientHello {
    let on_disconnect = Some(OnDisconnect { signal: DisconnectSignal::Hup, grace: 30 });
    ClientHello { on_disconnect, ..hello() }
}

/// What the gate does at this time.
fn signal(session: &mut Session, now: Instant) -> Option<&'static str> {
    session.expire(now);
    session.disconnect_signal(now).ok()
}

#[test]
fn an_exec_that_all_clients_have_lost_gets_one_signal_after_the_grace() {
    let (mut session, begun) = (exec(), Instant::now());
    let client = join(&mut session, asks(), begun);
    assert!(client.hello.acts_on_disconnect);
    client.types(&mut session, b"x", begun);
    let viewer = join_with(&mut session, hello(), false, begun).expect("joined");
    let guest = join(&mut session, hello(), begun);
    assert_eq!(signal(&mut session, begun + GRACE), None);
    session.disconnect(client.id, Left::Lost, begun);
    assert_eq!(signal(&mut session, begun + GRACE), None, "one is connected");
    let lost = begun + GRACE;
    session.disconnect(guest.id, Left::Detached, lost);
    assert_eq!(signal(&mut session, lost), None);
    assert_eq!(session.disconnect_signal(lost), Err(Some(lost + GRACE)));
    session.disconnect(viewer.id, Left::Detached, lost);
    let again = client.again(&mut session, client.resume(0, 0), lost + GRACE / 2);
    assert_eq!(signal(&mut session, lost + GRACE), None, "one is back");
    session.disconnect(again.id, Left::Lost, lost + GRACE);
    assert_eq!(signal(&mut session, lost + GRACE), None);
    assert_eq!(signal(&mut session, lost + GRACE * 2), Some("SIGHUP"));
    assert_eq!(signal(&mut session, lost + GRACE * 2), Some("SIGHUP"), "not confirmed");
    session.disconnect_signal_sent();
    assert_eq!(signal(&mut session, lost + GRACE * 2), None);
}

#[test]
fn detaching_leaves_an_exec_running_until_another_client_is_lost() {
    let (mut session, now) = (exec(), Instant::now());
    let client = join(&mut session, asks(), now);
    session.disconnect(client.id, Left::Detached, now);
    assert_eq!(signal(&mut session, now + GRACE), None);
    assert_eq!(signal(&mut session, now + GRACE * 2), None);
    let next = join(&mut session, hello(), now + GRACE);
    assert!(next.hello.acts_on_disconnect);
    session.disconnect(next.id, Left::Lost, now + GRACE);
    assert_eq!(signal(&mut session, now + GRACE), None);
    assert_eq!(signal(&mut session, now + GRACE * 2), Some("SIGHUP"));
}

#[test]
fn a_client_that_ends_without_detaching_is_lost_at_once() {
    let (mut session, now) = (exec(), Instant::now());
    let client = join(&mut session, asks(), now);
    session.disconnect(client.id, Left::Gone, now);
    assert!(session.is_abandoned(), "it does not come back");
    assert_eq!(signal(&mut session, now), None);
    assert_eq!(signal(&mut session, now + GRACE), Some("SIGHUP"));
}

#[test]
fn only_the_client_that_opens_the_exec_chooses_what_happens() {
    let (mut session, now) = (exec(), Instant::now());
    let owner = join(&mut session, asks(), now);
    let on_disconnect = Some(OnDisconnect { signal: DisconnectSignal::Kill, grace: 1 });
    let guest = join(&mut session, ClientHello { on_disconnect, ..hello() }, now);
    for client in [guest, owner] {
        session.disconnect(client.id, Left::Lost, now);
    }
    assert_eq!(signal(&mut session, now), None);
    assert_eq!(signal(&mut session, now + GRACE / 2), None);
    assert_eq!(signal(&mut session, now + GRACE), Some("SIGHUP"));
    session.exited();
    assert_eq!(signal(&mut session, now + GRACE), None, "its process ID may be another's");
    let (mut silent, now) = (exec(), Instant::now());
    join(&mut silent, hello(), now);
    let guest = join(&mut silent, asks(), now);
    assert!(!guest.hello.acts_on_disconnect);
}

#[test]
fn containers_and_viewers_set_no_policy() {
    let now = Instant::now();
    let (mut container, mut exec) = (session(true), exec());
    let clients = [
        join(&mut container, asks(), now),
        join_with(&mut exec, asks(), false, now).expect("joined"),
    ];
    for (session, client) in [&mut container, &mut exec].into_iter().zip(clients) {
        assert!(!client.hello.acts_on_disconnect);
        session.disconnect(client.id, Left::Lost, now);
        assert_eq!(signal(session, now), None);
        assert_eq!(signal(session, now + GRACE), None);
    }
}
