//! The screen of late joiners, and of viewers that come back.

use super::*;
use zun_common::screen::DEFAULT_SIZE;

/// Joins as a client that asks for the screen. Returns it with its snapshot: the offset, and what draws it.
fn watches(session: &mut Session, now: Instant) -> (Client, u64, String) {
    let asked = ClientHello { replay: Replay::Screen, ..hello() };
    let mut client = join(session, asked, now);
    client.receive(session, now);
    let (offset, drawn) = snapshot(&client);
    (client, offset, drawn)
}

fn snapshot(client: &Client) -> (u64, String) {
    let Some(Frame::Snapshot { offset, draw, .. }) = client.other.last() else {
        panic!("no screen in {:?}", client.other)
    };
    (*offset, String::from_utf8(draw.to_vec()).expect("text"))
}

fn begun() -> Session {
    let kind = SessionKind::Container;
    session_of(Process { kind, tty: true, stdin: true, running: false })
}

#[test]
fn a_late_joiner_sees_the_prompt_at_once_and_then_new_output() {
    let (mut session, now) = (begun(), Instant::now());
    prints(&mut session, b"PROMPT> ", now);
    let (mut client, offset, drawn) = watches(&mut session, now);
    assert!(client.hello.has_screen);
    assert_eq!(offset, 8);
    assert!(drawn.starts_with("PROMPT>"), "{drawn:?}");
    assert_eq!(client.stdout, b"");
    client.types(&mut session, b"l", now);
    prints(&mut session, b"ls", now);
    client.receive(&mut session, now);
    assert_eq!(client.stdout, b"ls");
    assert_eq!(session.next_control(now), None, "the process need not draw");
}

#[test]
fn who_joins_before_the_first_output_gets_the_output_alone() {
    let (mut session, now) = (begun(), Instant::now());
    let mut client = join(&mut session, ClientHello { replay: Replay::Screen, ..hello() }, now);
    prints(&mut session, b"\xff", now);
    client.receive(&mut session, now + Duration::from_secs(1));
    assert_eq!(client.stdout, b"\xff");
    assert!(!client.other.iter().any(|frame| matches!(frame, Frame::Snapshot { .. })));
}

#[test]
fn a_question_is_not_asked_again_and_a_half_printed_sequence_continues() {
    let (mut session, now) = (begun(), Instant::now());
    prints(&mut session, b"\x1b[c\x1b[6n\x1b]11;?\x07text\x1b[3", now);
    let (mut client, _, drawn) = watches(&mut session, now);
    for question in ["\x1b[c", "\x1b[6n", "?\x07"] {
        assert!(!drawn.contains(question), "{drawn:?}");
    }
    assert!(drawn.ends_with("\x1b[3"), "{drawn:?}");
    prints(&mut session, b"1mred", now);
    client.receive(&mut session, now + Duration::from_secs(1));
    assert_eq!(client.stdout, b"1mred");
}

#[test]
fn a_screen_that_may_not_have_arrived_is_drawn_again() {
    let (mut session, now) = (begun(), Instant::now());
    prints(&mut session, b"old", now);
    let (client, _, _) = watches(&mut session, now);
    prints(&mut session, b"new", now);
    let mut again = client.again(&mut session, client.resume(3, 0), now);
    again.receive(&mut session, now);
    let (offset, drawn) = snapshot(&again);
    assert_eq!((offset, again.stdout.len()), (6, 0));
    assert!(drawn.starts_with("oldnew"), "{drawn:?}");
    // What came after the screen has arrived, so the screen has too.
    prints(&mut session, b"est", now);
    again.receive(&mut session, now + Duration::from_secs(1));
    assert_eq!(again.stdout, b"est");
    let mut third = again.again(&mut session, again.resume(9, 0), now);
    third.receive(&mut session, now);
    assert_eq!((third.other.len(), third.stdout.len()), (0, 0));
}

#[test]
fn the_process_draws_a_screen_that_began_before_the_gate_held_its_stream() {
    let (mut session, now) = (session(true), Instant::now());
    prints(&mut session, b"end", now);
    let (client, _, _) = watches(&mut session, now);
    assert!(!client.hello.has_screen);
    assert_eq!(session.next_control(now), None, "it has no size");
    session.receive(client.id, Frame::Resize(SIZE), now);
    assert_eq!(session.next_control(now), Some(Control::Redraw(SIZE)));
    assert_eq!(session.next_control(now), None);
}

#[test]
fn input_waits_until_the_terminal_has_its_own_size_again_after_a_redraw() {
    let (mut session, now) = (session(true), Instant::now());
    prints(&mut session, b"end", now);
    let (client, _, _) = watches(&mut session, now);
    assert_eq!(session.input_due(now), None);
    session.receive(client.id, Frame::Resize(SIZE), now);
    assert_eq!(session.next_control(now), Some(Control::Redraw(SIZE)));
    let due = session.input_due(now).expect("it waits");
    session.retry_size(SIZE);
    assert_eq!(session.next_control(now), Some(Control::Resize(SIZE)));
    assert_eq!(session.input_due(now), Some(due));
    assert_eq!(session.input_due(due), None, "it waits no longer than a second");
    session.resized(SIZE);
    session.redrawn();
    assert_eq!(session.input_due(now), None);
}

#[test]
fn the_screen_has_the_size_that_the_terminal_had_at_each_moment() {
    let (mut session, now) = (begun(), Instant::now());
    let size = |width| Size { width, height: 24 };
    session.resized(size(20));
    prints(&mut session, b"\x1b[1;25HX", now);
    session.resized(size(30));
    prints(&mut session, b"\x1b[2;25HY", now);
    let (client, _, drawn) = watches(&mut session, now);
    let (first, second) = (" ".repeat(19), " ".repeat(24));
    assert!(drawn.starts_with(&format!("{first}X\r\n{second}Y")), "{drawn:?}");
    let Some(Frame::Snapshot { size: shown, .. }) = client.other.last() else { panic!("none") };
    assert_eq!(*shown, size(30));
    assert_eq!(DEFAULT_SIZE, SIZE);
}

#[test]
fn the_screen_follows_in_steps_and_skips_what_is_too_much() {
    let (mut session, now) = (begun(), Instant::now());
    prints(&mut session, b"\x1b[?1000h", now);
    let lines = b"some line of text\r\n".repeat(3000);
    assert!(!session.screen_lags());
    for _ in 0..60 {
        prints(&mut session, &lines, now);
    }
    assert!(session.screen_lags());
    for _ in 0..100 {
        session.follow_screen();
    }
    assert!(!session.screen_lags());
    prints(&mut session, b"end", now);
    let (_, _, drawn) = watches(&mut session, now);
    assert!(drawn.contains("\x1b[?1000h") && drawn.contains("line of text\r\nend"), "{drawn:?}");
}

#[test]
fn a_client_that_asks_for_nothing_or_for_all_gets_no_screen() {
    let (mut session, now) = (begun(), Instant::now());
    prints(&mut session, b"text", now);
    for (replay, expected) in [(Replay::None, &b""[..]), (Replay::All, b"text")] {
        let mut client = join(&mut session, ClientHello { replay, ..hello() }, now);
        client.receive(&mut session, now + Duration::from_secs(1));
        assert_eq!((client.stdout.as_slice(), client.other.len()), (expected, 0), "{replay:?}");
    }
}
