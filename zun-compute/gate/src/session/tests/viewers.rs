//! Several clients of one terminal: whose size it has, whose replies arrive, and which events the others get.

use super::*;

const LARGE: Size = Size { width: 120, height: 40 };
const TINY: Size = Size { width: 40, height: 10 };

/// Joins with a terminal of this size.
fn joins(session: &mut Session, size: Size, may_write: bool, now: Instant) -> Client {
    let asked = ClientHello { size: Some(size), replay: Replay::None, ..hello() };
    join_with(session, asked, may_write, now).expect("joined")
}

/// The sizes that the engine is asked for.
fn sizes(session: &mut Session) -> Vec<Size> {
    let mut sizes = Vec::new();
    while let Some(control) = session.next_control(Instant::now()) {
        match control {
            Control::Resize(size) => {
                session.resized(size);
                sizes.push(size);
            }
            other @ (Control::Redraw(_) | Control::Signal(_)) => panic!("{other:?}"),
        }
    }
    sizes
}

fn types(client: &Client, session: &mut Session, bytes: &[u8], now: Instant) -> Vec<u8> {
    client.types(session, bytes, now);
    engine_reads(session, now).0
}

#[test]
fn who_types_has_the_size_and_read_only_viewers_replies_and_the_mouse_change_nothing() {
    let (mut session, now) = (session(true), Instant::now());
    let mut owner = joins(&mut session, LARGE, true, now);
    let watcher = joins(&mut session, TINY, false, now);
    let mut writer = joins(&mut session, SIZE, true, now);
    assert_eq!(sizes(&mut session), [LARGE]);
    session.receive(watcher.id, Frame::Resize(TINY), now);
    for report in [&b"\x1b[<0;1;1M"[..], b"\x1b[I", b"\x1b[?1;2c", b"\x1b[M !!"] {
        types(&writer, &mut session, report, now);
    }
    assert_eq!(sizes(&mut session), []);
    assert_eq!(types(&writer, &mut session, b"l", now), b"l");
    assert_eq!(sizes(&mut session), [SIZE]);
    // The former owner's window changes: that counts once it types.
    session.receive(owner.id, Frame::Resize(Size { width: 100, height: 30 }), now);
    assert_eq!(sizes(&mut session), []);
    for client in [&mut owner, &mut writer] {
        client.receive(&mut session, now);
        let last = client.events.last().expect("an event");
        let SessionEvent::SizeOwner { size, .. } = last else { panic!("{last:?}") };
        assert_eq!(*size, SIZE);
    }
    session.disconnect(writer.id, Left::Detached, now);
    assert_eq!(sizes(&mut session), [Size { width: 100, height: 30 }]);
}

#[test]
fn a_writer_that_sends_its_size_again_takes_the_terminal() {
    let (mut session, now) = (session(true), Instant::now());
    let _owner = joins(&mut session, LARGE, true, now);
    let watcher = joins(&mut session, TINY, false, now);
    let writer = joins(&mut session, SIZE, true, now);
    assert_eq!(sizes(&mut session), [LARGE]);
    for again in [TINY, TINY] {
        session.receive(watcher.id, Frame::Resize(again), now);
    }
    assert_eq!(sizes(&mut session), []);
    session.receive(writer.id, Frame::Resize(SIZE), now);
    assert_eq!(sizes(&mut session), [SIZE]);
}

#[test]
fn an_owner_whose_link_is_lost_keeps_the_size_until_somebody_else_joins_or_types() {
    let (mut session, now) = (session(true), Instant::now());
    let owner = joins(&mut session, LARGE, true, now);
    session.disconnect(owner.id, Left::Lost, now);
    assert_eq!(sizes(&mut session), [LARGE]);
    let _second = joins(&mut session, SIZE, true, now);
    assert_eq!(sizes(&mut session), [SIZE]);
}

/// The last size of the terminal that the client got, and the number of its owner.
fn owner(client: &mut Client, session: &mut Session, now: Instant) -> (u64, Size) {
    client.receive(session, now);
    let size_owner = |event: &SessionEvent| {
        if let SessionEvent::SizeOwner { viewer, size } = event {
            Some((*viewer, *size))
        } else {
            None
        }
    };
    client.events.iter().rev().find_map(size_owner).expect("a size")
}

#[test]
fn the_size_that_a_client_leaves_behind_is_announced_and_so_is_one_from_outside() {
    let (mut session, now) = (session(true), Instant::now());
    let first = joins(&mut session, LARGE, true, now);
    session.disconnect(first.id, Left::Detached, now);
    let mut watcher = joins(&mut session, TINY, false, now);
    assert_eq!(owner(&mut watcher, &mut session, now), (0, LARGE));
    let mut writer = joins(&mut session, SIZE, true, now);
    let (own, _) = owner(&mut writer, &mut session, now);
    assert_ne!(own, 0);
    assert!(session.set_size(TINY));
    assert_eq!(sizes(&mut session), [SIZE, TINY]);
    assert_eq!(owner(&mut writer, &mut session, now), (0, TINY));
    types(&writer, &mut session, b"l", now);
    assert_eq!(sizes(&mut session), [SIZE]);
    for client in [&mut writer, &mut watcher] {
        assert_eq!(owner(client, &mut session, now), (own, SIZE));
    }
}

#[test]
fn no_client_is_told_of_a_size_that_would_use_up_its_memory() {
    let (mut session, now) = (session(true), Instant::now());
    let mut client = joins(&mut session, SIZE, true, now);
    let huge = Size { width: u16::MAX, height: u16::MAX };
    for _ in 0..2 {
        session.receive(client.id, Frame::Resize(huge), now);
        assert_eq!(owner(&mut client, &mut session, now).1, Size::LARGEST);
    }
    session.set_size(SIZE);
    session.set_size(huge);
    assert_eq!(owner(&mut client, &mut session, now).1, Size::LARGEST);
    assert!(sizes(&mut session).iter().all(|size| *size == SIZE || *size == Size::LARGEST));
}

#[test]
fn messages_that_change_nothing_do_not_record_the_whole_session() {
    let (mut session, now) = (session(true), Instant::now());
    let watcher = joins(&mut session, TINY, false, now);
    let writer = joins(&mut session, SIZE, true, now);
    for client in [&watcher, &writer] {
        session.receive(client.id, Frame::Ping(1), now);
    }
    let mut recorded = |client: &Client, frame: Frame| {
        session.take_unrecorded();
        session.receive(client.id, frame, now);
        session.take_unrecorded()
    };
    let signal = |number| Frame::Signal { number, name: "SIGINT".to_owned() };
    for frame in [Frame::Pong(1), Frame::Resize(LARGE), Frame::StdinEnd, signal(1)] {
        assert!(!recorded(&watcher, frame.clone()), "{frame:?}");
    }
    assert!(!recorded(&writer, Frame::Pong(1)));
    for frame in [Frame::Resize(LARGE), signal(1), Frame::StdinEnd] {
        assert!(recorded(&writer, frame.clone()), "{frame:?}");
    }
    assert!(!recorded(&writer, signal(1)), "it is known");
}

#[test]
fn of_three_writers_only_the_owner_of_the_size_replies_once() {
    let (mut session, now) = (session(true), Instant::now());
    let clients: Vec<_> = (0..3).map(|_| joins(&mut session, SIZE, true, now)).collect();
    types(&clients[1], &mut session, b"x", now);
    prints(&mut session, b"\x1b[c\x1b[6n\x1b]11;?\x07", now);
    let replies = [&b"\x1b[?1;2c"[..], b"\x1b[1;5R", b"\x1b]11;rgb:0/0/0\x07"];
    for (number, client) in clients.iter().enumerate() {
        for reply in replies {
            let expected = if number == 1 { reply } else { b"" };
            assert_eq!(types(client, &mut session, reply, now), expected, "{number} {reply:?}");
        }
    }
    // The questions are answered.
    for reply in replies {
        assert_eq!(types(&clients[1], &mut session, reply, now), b"");
    }
}

#[test]
fn dropped_input_is_acknowledged_in_its_order() {
    let (mut session, now) = (session(true), Instant::now());
    let mut client = joins(&mut session, SIZE, true, now);
    assert_eq!(types(&client, &mut session, b"a\x1b[?1;2cb", now), b"ab");
    client.receive(&mut session, now + Duration::from_secs(1));
    assert_eq!(client.acks, [(Stream::Stdin, 9)]);
    let again = client.again(&mut session, client.resume(0, 0), now);
    assert_eq!(again.hello.stdin_next, 9);
}

#[test]
fn input_that_looks_like_the_beginning_of_a_reply_is_passed_on_after_a_moment() {
    let (mut session, now) = (session(true), Instant::now());
    let client = joins(&mut session, SIZE, true, now);
    assert_eq!(types(&client, &mut session, b"\x1b[?1", now), b"");
    let at = session.next_expiry().expect("a time");
    session.expire(at);
    assert_eq!(engine_reads(&mut session, at).0, b"\x1b[?1");
    assert_eq!(session.next_expiry(), None);
}

#[test]
fn clients_are_told_who_joins_and_leaves() {
    let (mut session, now) = (session(true), Instant::now());
    let mut first = joins(&mut session, SIZE, true, now);
    let second = joins(&mut session, TINY, false, now);
    session.disconnect(second.id, Left::Lost, now);
    first.receive(&mut session, now);
    let SessionEvent::Viewers { own, viewers: 1, others } = first.events[0].clone() else {
        panic!("{:?}", first.events)
    };
    assert!(others.is_empty());
    let SessionEvent::ViewerJoined { viewer: joined, viewers: 2 } = first.events[2].clone() else {
        panic!("{:?}", first.events)
    };
    assert_eq!((joined.mode, joined.grant.as_str()), (ViewerMode::ReadOnly, "g1"));
    assert_ne!(joined.id, own);
    // A lost link is not announced, and the client gets the current state when it reconnects.
    let before = first.events.len();
    let mut again = second.again(&mut session, second.resume(0, 0), now);
    again.receive(&mut session, now);
    let others = vec![zun_common::pty::Viewer {
        id: own,
        mode: ViewerMode::ReadWrite,
        grant: "g1".to_owned(),
    }];
    assert_eq!(again.events[0], SessionEvent::Viewers { own: joined.id, viewers: 2, others });
    assert_eq!(again.events[1], SessionEvent::SizeOwner { viewer: own, size: SIZE });
    session.disconnect(again.id, Left::Detached, now);
    first.receive(&mut session, now);
    assert_eq!(first.events[before..], [SessionEvent::ViewerLeft { viewer: joined, viewers: 1 }]);
}

#[test]
fn the_size_that_remains_is_announced_before_the_notice_that_its_owner_has_left() {
    let (mut session, now) = (session(true), Instant::now());
    let mut first = joins(&mut session, LARGE, true, now);
    let second = joins(&mut session, SIZE, true, now);
    types(&second, &mut session, b"l", now);
    first.receive(&mut session, now);
    let before = first.events.len();
    session.disconnect(second.id, Left::Detached, now);
    first.receive(&mut session, now);
    // A client redraws its screen for another size, which removes a notice.
    let [SessionEvent::SizeOwner { size: LARGE, .. }, SessionEvent::ViewerLeft { .. }] =
        first.events[before..]
    else {
        panic!("{:?}", first.events)
    };
}

#[test]
fn a_client_that_is_away_does_not_collect_events() {
    let (mut session, now) = (session(true), Instant::now());
    let mut client = join(&mut session, hello(), now);
    client.receive(&mut session, now);
    session.disconnect(client.id, Left::Lost, now);
    for _ in 0..1000 {
        session.reattached(0, now);
    }
    let mut client = client.again(&mut session, client.resume(0, 0), now);
    for _ in 0..100 {
        client = client.again(&mut session, client.resume(0, 0), now);
    }
    client.receive(&mut session, now);
    let is_viewers = |event: &SessionEvent| matches!(event, SessionEvent::Viewers { .. });
    let [SessionEvent::Reattached, viewers] = client.events.as_slice() else {
        panic!("{:?}", client.events);
    };
    assert!(is_viewers(viewers));
}
