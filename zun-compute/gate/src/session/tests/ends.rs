//! Detaching, lost links, the end of stdin, and the end of the process.

use zun_common::pty::EndingReason;

use super::*;

fn ending() -> Ending {
    Ending::with_code(EndingReason::Exited, 42, "")
}

#[test]
fn the_ending_follows_all_output_and_counts_it() {
    let (mut session, now) = (session(false), Instant::now());
    let mut client = join(&mut session, hello(), now);
    prints(&mut session, &vec![b'x'; 100 << 10], now);
    session.output(EngineStream::Stderr, b"error", now);
    session.end(ending());
    client.receive(&mut session, now);
    assert_eq!((client.other.len(), client.closed), (0, None), "output is missing");
    client.acknowledge(&mut session, now);
    client.receive(&mut session, now);
    let [Frame::Status(status)] = client.other.as_slice() else { panic!("{:?}", client.other) };
    assert_eq!((status.zun.exit_code, status.zun.reason), (Some(42), EndingReason::Exited));
    assert_eq!((status.zun.stdout_bytes, status.zun.stderr_bytes), (100 << 10, 5));
    assert_eq!(client.closed, Some(close::NORMAL));
    session.disconnect(client.id, Left::Detached, now);
    assert!(session.is_abandoned());
    assert_eq!(session.next_departure().map(|gone| gone.reason), Some("ended"));
}

#[test]
fn stdin_without_a_terminal_ends_if_the_last_writer_is_ended_by_a_signal() {
    let (mut session, now) = (session(false), Instant::now());
    let clients = [join(&mut session, hello(), now), join(&mut session, hello(), now)];
    for client in &clients {
        client.types(&mut session, b"x", now);
    }
    session.disconnect(clients[0].id, Left::Gone, now);
    assert_eq!(engine_reads(&mut session, now), (b"xx".to_vec(), false), "one is connected");
    session.disconnect(clients[1].id, Left::Gone, now);
    assert_eq!(engine_reads(&mut session, now), (Vec::new(), true));
}

#[test]
fn a_client_that_was_away_at_the_end_still_gets_output_and_ending() {
    let (mut session, now) = (session(true), Instant::now());
    let client = join(&mut session, hello(), now);
    session.disconnect(client.id, Left::Lost, now);
    prints(&mut session, b"last words", now);
    session.end(ending());
    assert!(!session.is_abandoned());
    for _ in 0..2 {
        let mut again = client.again(&mut session, client.resume(0, 0), now);
        again.receive(&mut session, now);
        assert_eq!(again.stdout, b"last words");
        assert!(matches!(again.other.as_slice(), [Frame::Status(_)]));
        session.disconnect(again.id, Left::Lost, now);
    }
}

#[test]
fn a_lost_link_is_no_end_of_stdin_until_the_time_to_resume_has_passed() {
    let (mut session, now) = (session(false), Instant::now());
    let client = join(&mut session, hello(), now);
    client.types(&mut session, b"abc", now);
    session.disconnect(client.id, Left::Lost, now);
    assert_eq!(engine_reads(&mut session, now), (b"abc".to_vec(), false));
    assert_eq!(session.next_expiry(), Some(now + RESUME));
    session.expire(now + RESUME.saturating_sub(Duration::from_millis(1)));
    assert!(session.next_input().is_none());
    session.expire(now + RESUME);
    assert_eq!(engine_reads(&mut session, now), (Vec::new(), true));
    assert!(!session.knows(client.key, &client.resume(0, 0)));
    assert_eq!(session.next_departure().map(|gone| gone.reason), Some("expired"));
}

#[test]
fn a_client_that_never_said_anything_is_soon_forgotten_and_ends_no_stdin() {
    let (mut session, now) = (session(false), Instant::now());
    let client = join(&mut session, hello(), now);
    session.disconnect(client.id, Left::Lost, now);
    assert_eq!(session.next_expiry(), Some(now + UNCONFIRMED_TIMEOUT));
    assert!(session.knows(client.key, &client.resume(0, 0)));
    session.expire(now + UNCONFIRMED_TIMEOUT);
    assert!(session.is_abandoned());
    assert!(session.next_input().is_none(), "its stdin has not ended");
}

#[test]
fn a_client_that_detaches_leaves_stdin_open() {
    let (mut session, now) = (session(false), Instant::now());
    let client = join(&mut session, hello(), now);
    session.disconnect(client.id, Left::Detached, now);
    assert!(session.next_input().is_none());
    assert_eq!(session.next_departure().map(|gone| gone.reason), Some("detached"));
}

#[test]
fn the_end_of_stdin_follows_its_bytes_is_acknowledged_and_counts_once() {
    let (mut session, now) = (session(false), Instant::now());
    let mut client = join(&mut session, hello(), now);
    client.types(&mut session, b"abc", now);
    session.receive(client.id, Frame::StdinEnd, now);
    let again = client.again(&mut session, client.resume(0, 0), now);
    assert!(again.hello.stdin_ended);
    client = again;
    assert_eq!(engine_reads(&mut session, now), (b"abc".to_vec(), true));
    client.receive(&mut session, now);
    assert_eq!(client.acks, [(Stream::Stdin, 3), (Stream::StdinEnd, 3)]);
    client.types(&mut session, b"d", now);
    client.receive(&mut session, now);
    assert_eq!(client.closed, Some(close::PROTOCOL_ERROR));
}

#[test]
fn input_that_the_process_does_not_take_is_dropped_and_acknowledged() {
    let (mut session, now) = (session(false), Instant::now());
    let mut client = join(&mut session, hello(), now);
    client.types(&mut session, &vec![b'x'; 100 << 10], now);
    session.close_input(now);
    client.types(&mut session, b"more", now);
    assert!(session.next_input().is_none());
    client.receive(&mut session, now);
    assert_eq!(client.acks.last(), Some(&(Stream::Stdin, (100 << 10) + 4)));
}

#[test]
fn what_a_replaced_connection_still_sends_is_dropped() {
    let (mut session, now) = (session(true), Instant::now());
    let old = join(&mut session, hello(), now);
    old.types(&mut session, b"counted", now);
    let new = old.again(&mut session, old.resume(0, 0), now);
    assert_eq!(new.hello.stdin_next, 7);
    old.types(&mut session, b"too late", now);
    session.receive(old.id, Frame::StdinEnd, now);
    assert_eq!(session.next(old.id, now), Next::Close(close::REPLACED));
    session.disconnect(old.id, Left::Detached, now);
    new.types(&mut session, b" once", now);
    assert_eq!(engine_reads(&mut session, now), (b"counted once".to_vec(), false));
    assert!(session.knows(new.key, &new.resume(0, 0)));
}

#[test]
fn an_unused_session_is_closed_before_the_process_starts_but_not_after() {
    let process = Process { kind: SessionKind::Container, tty: true, stdin: true, running: false };
    let (mut session, now) = (session_of(process), Instant::now());
    let client = join(&mut session, hello(), now);
    assert!(!session.close_unused());
    session.started();
    session.disconnect(client.id, Left::Detached, now);
    assert!(!session.close_unused(), "its output is kept");
    let mut session = session_of(process);
    assert!(session.close_unused());
    let refused = join_with(&mut session, hello(), true, now).map(|_| ());
    assert_eq!(refused.unwrap_err(), JoinRefused::Closed);
}

#[test]
fn at_a_restart_of_the_gate_clients_are_asked_to_come_back() {
    let (mut session, now) = (session(true), Instant::now());
    let client = join(&mut session, hello(), now);
    session.restart();
    assert_eq!(session.next(client.id, now), Next::Close(close::RESTARTING));
}

#[test]
fn who_comes_while_the_gate_stops_is_asked_to_come_back_too() {
    let (mut session, now) = (session(true), Instant::now());
    let client = join(&mut session, hello(), now);
    session.restart();
    let id = session.resume(client.key, &hello(), client.resume(0, 0), now).expect("resumed");
    assert_eq!(session.next(id, now), Next::Close(close::RESTARTING));
}
