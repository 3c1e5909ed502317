//! A session continues in another gate process.

use zun_common::pty::{DisconnectSignal, OnDisconnect};

use super::*;

/// The session as another gate finds it. `passed` is how much stdin has left the spool.
fn again(session: Session, passed: u64, now: Instant) -> Session {
    let record = serde_json::to_vec(&session.record()).expect("JSON");
    let record = serde_json::from_slice(&record).expect("a record");
    let progress = Progress::read(&session.progress().numbers());
    assert_eq!(progress, session.progress());
    let [stdout, stderr, spool] = session.files().map(|file| file.try_clone().expect("a file"));
    drop(session);
    let files = Files { stdout, stderr, spool, spilled: None };
    Session::restored((record, progress), limits(), files, passed, now)
}

#[test]
fn streams_and_attachments_continue_where_they_were() {
    let (mut session, now) = (session(false), Instant::now());
    let client = join(&mut session, hello(), now);
    client.types(&mut session, b"typed", now);
    session.output(EngineStream::Stdout, b"out", now);
    session.output(EngineStream::Stderr, b"errors", now);
    let mut session = again(session, 2, now);
    let mut client = client.again(&mut session, client.resume(1, 0), now);
    assert_eq!((client.hello.stdin_next, client.hello.stdout_next), (5, 1));
    assert_eq!(client.hello.files, Some(1 << 20));
    client.receive(&mut session, now + Duration::from_millis(20));
    assert_eq!((client.stdout.as_slice(), client.stderr.as_slice()), (&b"ut"[..], &b"errors"[..]));
    client.types(&mut session, b" more", now);
    session.receive(client.id, Frame::StdinEnd, now);
    assert_eq!(engine_reads(&mut session, now), (b"ped more".to_vec(), true));
}

#[test]
fn the_end_of_stdin_is_not_forgotten() {
    let (mut session, now) = (session(false), Instant::now());
    let client = join(&mut session, hello(), now);
    client.types(&mut session, b"abc", now);
    session.receive(client.id, Frame::StdinEnd, now);
    let mut session = again(session, 0, now);
    assert_eq!(engine_reads(&mut session, now), (b"abc".to_vec(), true));
    let mut session = again(session, 3, now);
    assert!(session.next_input().is_none());
    assert!(client.again(&mut session, client.resume(0, 0), now).hello.stdin_ended);
}

#[test]
fn on_a_terminal_the_end_of_one_clients_input_leaves_what_others_type() {
    let (mut session, now) = (session(true), Instant::now());
    let first = join(&mut session, hello(), now);
    let second = join(&mut session, hello(), now);
    first.types(&mut session, b"first", now);
    session.receive(first.id, Frame::StdinEnd, now);
    second.types(&mut session, b" second", now);
    let mut session = again(session, 2, now);
    let second = second.again(&mut session, second.resume(0, 0), now);
    second.types(&mut session, b" third", now);
    assert_eq!(engine_reads(&mut session, now), (b"rst second third".to_vec(), false));
    assert!(first.again(&mut session, first.resume(0, 0), now).hello.stdin_ended);
}

#[test]
fn a_lost_exec_is_hung_up_also_by_the_next_gate() {
    let on_disconnect = Some(OnDisconnect { signal: DisconnectSignal::Hup, grace: 30 });
    let asks = || ClientHello { on_disconnect, ..hello() };
    let process = Process { kind: SessionKind::Exec, tty: true, stdin: true, running: true };
    let (now, half) = (Instant::now(), Duration::from_secs(15));
    let before = now.checked_sub(half).expect("the machine runs for longer");
    for (was_lost, grace) in [(true, half), (false, half * 2)] {
        let mut session = session_of(process);
        let client = join(&mut session, asks(), before);
        if was_lost {
            session.disconnect(client.id, Left::Lost, before);
            session.expire(before);
        }
        let mut session = again(session, 0, now);
        session.expire(now);
        let due = session.disconnect_signal(now).expect_err("not yet").expect("due");
        let second = Duration::from_secs(1);
        assert!(due + second > now + grace && due < now + grace + second, "{:?}", due - now);
        assert_eq!(session.disconnect_signal(due), Ok("SIGHUP"));
        session.disconnect_signal_sent();
        let session = again(session, 0, due);
        assert_eq!(session.disconnect_signal(due), Err(None));
    }
}

#[test]
fn a_wrong_key_or_token_is_refused_as_before() {
    let (mut session, now) = (session(true), Instant::now());
    let client = join(&mut session, hello(), now);
    let mut session = again(session, 0, now);
    let mut resume = client.resume(0, 0);
    assert!(session.knows(client.key, &resume) && !session.knows(KeyHash::of(b"other"), &resume));
    assert!(!format!("{:?}", session.record()).contains(&resume.token), "the token is hashed");
    resume.token = "other".to_owned();
    let refused = session.resume(client.key, &hello(), resume, now);
    assert_eq!(refused, Err(JoinRefused::Unknown));
}

#[test]
fn a_signal_that_may_have_been_sent_is_not_sent_again_and_its_client_is_told() {
    let (mut session, now) = (session(true), Instant::now());
    let client = join(&mut session, hello(), now);
    for (number, name) in [(1, "SIGUSR1"), (2, "SIGUSR2")] {
        session.receive(client.id, Frame::Signal { number, name: name.to_owned() }, now);
    }
    session.signalling();
    let mut session = again(session, 0, now);
    assert_eq!(session.next_control(now), Some(Control::Signal("SIGUSR2".to_owned())));
    let mut client = client.again(&mut session, client.resume(0, 0), now);
    assert_eq!(client.hello.signal_next, 3);
    client.receive(&mut session, now);
    let unconfirmed = SessionEvent::SignalUnconfirmed { number: 1, name: "SIGUSR1".to_owned() };
    assert!(client.events.contains(&unconfirmed), "{:?}", client.events);
}

#[test]
fn a_session_that_is_over_still_tells_how() {
    let (mut session, now) = (session(true), Instant::now());
    let client = join(&mut session, hello(), now);
    prints(&mut session, b"last words", now);
    session.end(Ending::with_code(zun_common::pty::EndingReason::Exited, 42, ""));
    let mut session = again(session, 0, now);
    let mut client = client.again(&mut session, client.resume(0, 0), now);
    client.receive(&mut session, now);
    assert_eq!(client.stdout, b"last words");
    assert!(matches!(client.other.as_slice(), [Frame::Status(_)]));
}

#[test]
fn fields_of_a_newer_gate_are_ignored_and_missing_ones_have_defaults() {
    let session = session(true);
    let mut record = serde_json::to_value(session.record()).expect("JSON");
    let fields = record.as_object_mut().expect("an object");
    fields.insert("newer".to_owned(), 1.into());
    fields.retain(|name, _| ["process", "last_id", "newer"].contains(&name.as_str()));
    assert!(serde_json::from_value::<SessionRecord>(record).is_ok());
}

#[test]
fn the_screen_and_whose_size_it_has_are_the_same_after_a_restart() {
    let kind = SessionKind::Container;
    let mut session = session_of(Process { kind, tty: true, stdin: true, running: false });
    let now = Instant::now();
    let asked = ClientHello { size: Some(SIZE), ..hello() };
    let owner = join(&mut session, asked, now);
    session.resized(SIZE);
    prints(&mut session, b"\x1b[?1049h\x1b[?1000h\x1b[Htext", now);
    let mut session = again(session, 0, now);
    let mut late = join(&mut session, ClientHello { replay: Replay::Screen, ..hello() }, now);
    late.receive(&mut session, now);
    assert!(late.hello.has_screen);
    let Some(Frame::Snapshot { size, draw, .. }) = late.other.last() else { panic!("no screen") };
    let drawn = String::from_utf8_lossy(draw);
    assert!(drawn.contains("\x1b[?1049h") && drawn.contains("\x1b[?1000h"), "{drawn:?}");
    assert!(*size == SIZE && drawn.contains("text"), "{drawn:?}");
    let SessionEvent::SizeOwner { size, .. } = late.events[1] else { panic!("{:?}", late.events) };
    assert_eq!(size, SIZE);
    drop(owner);
}
