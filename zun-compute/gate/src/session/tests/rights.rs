//! The rights of clients, and messages that break the protocol.

use super::*;

#[test]
fn a_read_only_client_cannot_type_resize_signal_or_end_stdin() {
    let (mut session, now) = (session(true), Instant::now());
    let asked = ClientHello { size: Some(SIZE), ..hello() };
    let mut viewer = join_with(&mut session, asked, false, now).expect("joined");
    assert!(!viewer.hello.writes && !viewer.hello.signals);
    let signal = Frame::Signal { number: 1, name: "SIGKILL".to_owned() };
    for frame in [Frame::Stdin(Bytes::from("x")), Frame::Resize(SIZE), signal, Frame::StdinEnd] {
        session.receive(viewer.id, frame, now);
    }
    assert_eq!((session.next_input(), session.next_control(now)), (None, None));
    viewer.receive(&mut session, now);
    assert_eq!((viewer.closed, viewer.acks), (None, vec![]));
}

#[test]
fn a_client_that_sends_no_input_sets_the_size_if_its_grant_allows_input() {
    let (mut session, now) = (session(true), Instant::now());
    let silent = ClientHello { writes: false, size: Some(SIZE), ..hello() };
    let client = join(&mut session, silent, now);
    assert!(!client.hello.writes);
    assert_eq!(session.next_control(now), Some(Control::Resize(SIZE)));
}

#[test]
fn a_message_that_only_the_gate_may_send_closes_the_connection() {
    let now = Instant::now();
    for frame in [
        Frame::Stdout(Bytes::from("x")),
        Frame::Gap { stream: Stream::Stdout, from: 0, to: 1 },
        Frame::Ack { stream: Stream::Stdout, offset: 1 },
        Frame::Ack { stream: Stream::Stdin, offset: 0 },
        Frame::Signal { number: 2, name: "SIGTERM".to_owned() },
        Frame::Signal { number: 1, name: "SIGTERM&x=1".to_owned() },
        Frame::Stdin(Bytes::from(vec![0; 600 << 10])),
    ] {
        let mut session = session(true);
        let mut client = join(&mut session, hello(), now);
        session.receive(client.id, frame.clone(), now);
        client.receive(&mut session, now);
        assert_eq!(client.closed, Some(close::PROTOCOL_ERROR), "{frame:?}");
        assert!(session.next_input().is_none());
    }
}

#[test]
fn a_session_is_resumed_only_with_its_token_and_its_key() {
    let (mut session, now) = (session(true), Instant::now());
    let client = join(&mut session, hello(), now);
    let good = client.resume(0, 0);
    let other_token = Resume { token: "x".to_owned(), ..good.clone() };
    let other_session = Resume { session: "x".to_owned(), ..good.clone() };
    let other_key = KeyHash::of(b"other");
    for (key, resume) in
        [(client.key, other_token), (client.key, other_session), (other_key, good.clone())]
    {
        assert!(!session.knows(key, &resume));
        let refused = session.resume(key, &hello(), resume, now);
        assert_eq!(refused.unwrap_err(), JoinRefused::Unknown);
    }
    let beyond = session.resume(client.key, &hello(), client.resume(1, 0), now);
    assert_eq!(beyond.unwrap_err(), JoinRefused::ImpossibleOffset);
    assert!(session.knows(client.key, &good));
    assert!(session.resume(client.key, &hello(), good, now).is_ok());
}

#[test]
fn a_session_has_a_limited_number_of_attachments() {
    let (mut session, now) = (session(true), Instant::now());
    let clients: Vec<_> = (0..4).map(|_| join(&mut session, hello(), now)).collect();
    let refused = join_with(&mut session, hello(), true, now);
    assert_eq!(refused.map(|_| ()).unwrap_err(), JoinRefused::Full);
    session.disconnect(clients[0].id, Left::Detached, now);
    assert!(join_with(&mut session, hello(), true, now).is_ok());
}

#[test]
fn only_the_newest_sizes_are_passed_on_and_signals_are_sent_once() {
    let (mut session, now) = (session(true), Instant::now());
    let mut client = join(&mut session, hello(), now);
    for width in [80, 100, 120] {
        session.receive(client.id, Frame::Resize(Size { width, height: 24 }), now);
    }
    // The last two, so that a size and back is a change.
    for width in [100, 120] {
        let size = Size { width, height: 24 };
        assert_eq!(session.next_control(now), Some(Control::Resize(size)));
    }
    let signal = Frame::Signal { number: 1, name: "SIGTERM".to_owned() };
    for _ in 0..2 {
        session.receive(client.id, signal.clone(), now);
    }
    assert_eq!(session.next_control(now), Some(Control::Signal("SIGTERM".to_owned())));
    session.signalled(now);
    assert_eq!(session.next_control(now), None);
    client.receive(&mut session, now);
    assert_eq!(client.acks, [(Stream::Signals, 1)]);
    let again = client.again(&mut session, client.resume(0, 0), now);
    assert_eq!(again.hello.signal_next, 2);
    session.receive(again.id, signal, now);
    assert_eq!(session.next_control(now), None);
}

#[test]
fn an_exec_gets_each_signal_once_and_none_after_its_exit() {
    let (kind, now) = (SessionKind::Exec, Instant::now());
    let mut session = session_of(Process { kind, tty: false, stdin: true, running: true });
    let client = join(&mut session, hello(), now);
    assert!(client.hello.signals);
    let signal = |number| Frame::Signal { number, name: "SIGINT".to_owned() };
    session.receive(client.id, signal(1), now);
    session.disconnect(client.id, Left::Lost, now);
    let again = client.again(&mut session, client.resume(0, 0), now);
    assert_eq!(again.hello.signal_next, 2);
    session.receive(again.id, signal(1), now);
    assert_eq!(session.next_control(now), Some(Control::Signal("SIGINT".to_owned())));
    session.signalled(now);
    assert_eq!(session.next_control(now), None);
    session.receive(again.id, signal(2), now);
    session.exited();
    assert_eq!(session.next_control(now), None, "its process ID may be another's");
}

#[test]
fn nothing_is_asked_of_a_process_that_does_not_run() {
    let kind = SessionKind::Container;
    let mut session = session_of(Process { kind, tty: true, stdin: true, running: false });
    let now = Instant::now();
    let client = join(&mut session, ClientHello { size: Some(SIZE), ..hello() }, now);
    assert!(!client.hello.running);
    assert_eq!(session.next_control(now), None);
    session.started();
    assert_eq!(session.next_control(now), Some(Control::Resize(SIZE)));
}
