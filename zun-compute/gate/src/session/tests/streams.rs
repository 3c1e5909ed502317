//! Windows, batches, acknowledgements, slow viewers and late joiners.

use super::*;

#[test]
fn an_echo_is_sent_at_once_with_its_acknowledgement_and_other_output_is_batched() {
    let (mut session, now) = (session(true), Instant::now());
    let mut client = join(&mut session, hello(), now);
    prints(&mut session, b"a", now);
    client.receive(&mut session, now);
    assert_eq!(client.stdout, b"", "it waits for more output");
    let later = now + Duration::from_millis(5);
    client.receive(&mut session, later);
    assert_eq!(client.stdout, b"a");
    client.types(&mut session, b"k", later);
    assert_eq!(engine_reads(&mut session, later), (b"k".to_vec(), false));
    client.receive(&mut session, later);
    assert_eq!(client.acks, [], "an acknowledgement alone waits");
    prints(&mut session, b"k", later);
    client.receive(&mut session, later);
    assert_eq!((client.stdout.as_slice(), client.acks), (&b"ak"[..], vec![(Stream::Stdin, 1)]));
}

#[test]
fn much_output_is_sent_at_once() {
    let (mut session, now) = (session(true), Instant::now());
    let mut client = join(&mut session, hello(), now);
    prints(&mut session, &vec![b'x'; 32 << 10], now);
    client.receive(&mut session, now);
    assert_eq!(client.stdout.len(), 32 << 10);
}

#[test]
fn stdin_is_acknowledged_after_it_was_written_and_within_20_milliseconds() {
    let (mut session, now) = (session(true), Instant::now());
    let mut client = join(&mut session, hello(), now);
    client.types(&mut session, b"abc", now);
    let later = now + Duration::from_millis(20);
    client.receive(&mut session, later);
    assert_eq!(client.acks, [], "it is not written");
    engine_reads(&mut session, now);
    assert_eq!(session.next(client.id, now), Next::Wait(Some(later)));
    client.receive(&mut session, later);
    assert_eq!(client.acks, [(Stream::Stdin, 3)]);
}

#[test]
fn a_client_that_acknowledges_nothing_gets_its_window_and_no_more() {
    let (mut session, now) = (session(false), Instant::now());
    let mut client = join(&mut session, hello(), now);
    let mut printed = 0;
    while session.wants_output() {
        prints(&mut session, &vec![b'x'; 64 << 10], now);
        printed += 64 << 10;
        client.receive(&mut session, now);
    }
    assert_eq!(client.stdout.len(), 64 << 10);
    assert!(printed <= RING, "{printed}");
    client.acknowledge(&mut session, now);
    assert!(session.wants_output());
}

#[test]
fn on_a_terminal_a_stalled_viewer_gets_a_gap_and_the_screen_and_stops_nobody() {
    let (mut session, now) = (session(true), Instant::now());
    let mut stalled = join(&mut session, hello(), now);
    let mut other = join(&mut session, hello(), now);
    for _ in 0..100 {
        assert!(session.wants_output());
        prints(&mut session, &vec![b'x'; 64 << 10], now);
        other.receive(&mut session, now);
        other.acknowledge(&mut session, now);
        stalled.receive(&mut session, now);
    }
    prints(&mut session, b"\r\nlast", now);
    other.receive(&mut session, now + Duration::from_secs(1));
    let all = 100 * (64 << 10) + 6;
    assert_eq!((other.stdout.len(), stalled.stdout.len()), (all, 64 << 10));
    stalled.acknowledge(&mut session, now);
    stalled.receive(&mut session, now);
    let (from, to) = (64 << 10, all as u64);
    assert_eq!(stalled.other[0], Frame::Gap { stream: Stream::Stdout, from, to });
    let Frame::Snapshot { offset, ref draw, .. } = stalled.other[1] else { panic!("no screen") };
    assert_eq!(offset, to);
    assert!(String::from_utf8_lossy(draw).contains("xxx\r\nlast"), "{draw:?}");
    prints(&mut session, b"more", now);
    stalled.receive(&mut session, now + Duration::from_secs(1));
    assert_eq!((stalled.stdout.len(), stalled.other.len()), ((64 << 10) + 4, 2));
}

#[test]
fn without_a_terminal_a_viewer_that_stalls_is_dropped_instead_of_the_process_stopped() {
    let (mut session, now) = (session(false), Instant::now());
    let mut viewer = join_with(&mut session, hello(), false, now).expect("joined");
    for _ in 0..20 {
        assert!(session.wants_output());
        prints(&mut session, &vec![b'x'; 64 << 10], now);
        viewer.receive(&mut session, now);
    }
    assert_eq!(viewer.closed, Some(close::TOO_SLOW));
    assert_eq!(session.next_departure().map(|gone| gone.reason), Some("too slow"));
}

#[test]
fn without_a_terminal_a_client_that_sends_no_input_loses_no_output() {
    let (mut session, now) = (session(false), Instant::now());
    let mut client = join(&mut session, ClientHello { writes: false, ..hello() }, now);
    let mut printed = 0;
    while session.wants_output() {
        prints(&mut session, &vec![b'x'; 64 << 10], now);
        printed += 64 << 10;
    }
    while client.stdout.len() < printed {
        client.receive(&mut session, now);
        assert_eq!(client.closed, None);
        client.acknowledge(&mut session, now);
    }
    assert!(session.wants_output(), "the process continues");
}

#[test]
fn after_the_exit_the_last_output_is_taken_even_if_nobody_reads() {
    let (mut session, now) = (session(false), Instant::now());
    let mut client = join(&mut session, hello(), now);
    while session.wants_output() {
        prints(&mut session, &vec![b'x'; 64 << 10], now);
    }
    session.exited();
    assert!(session.wants_output());
    prints(&mut session, &vec![b'y'; 1 << 20], now);
    for _ in 0..100 {
        client.receive(&mut session, now);
        client.acknowledge(&mut session, now);
    }
    assert!(client.stdout.ends_with(&vec![b'y'; 1 << 20]));
    assert_eq!(client.other, []);
}

#[test]
fn a_late_joiner_gets_what_it_asks_for() {
    let (mut session, now) = (session(true), Instant::now());
    prints(&mut session, &vec![b'x'; 100 << 10], now);
    for (replay, from) in [(Replay::All, 0), (Replay::Screen, 100 << 10), (Replay::None, 100 << 10)]
    {
        let mut late = join(&mut session, ClientHello { replay, ..hello() }, now);
        assert_eq!(late.hello.stdout_next, from, "{replay:?}");
        for _ in 0..3 {
            late.receive(&mut session, now + Duration::from_millis(5));
            late.acknowledge(&mut session, now);
        }
        assert_eq!(late.stdout.len() as u64, (100 << 10) - from);
    }
}

#[test]
fn a_ping_is_answered() {
    let (mut session, now) = (session(true), Instant::now());
    let mut client = join(&mut session, hello(), now);
    session.receive(client.id, Frame::Ping(7), now);
    client.receive(&mut session, now);
    assert_eq!(client.other, [Frame::Pong(7)]);
}

#[test]
fn without_a_terminal_output_for_a_stalled_client_is_kept_on_disk_and_then_the_process_waits() {
    let process = Process { kind: SessionKind::Container, tty: false, stdin: true, running: true };
    let spill = SpillLimits {
        directory: Some(std::env::temp_dir()),
        stream: 8 << 20,
        space: Memory::of(64 << 20),
    };
    let limits = Limits { spill, ..limits() };
    let files = Files::create(process, &limits.spill).expect("files");
    let (mut session, now) = (Session::new(process, limits, files), Instant::now());
    let mut client = join(&mut session, hello(), now);
    let mut printed = Vec::new();
    while session.wants_output() {
        let more: Vec<u8> =
            (0..64_u32 << 10).map(|number| u8::try_from(number % 251).expect("small")).collect();
        prints(&mut session, &more, now);
        session.recorded();
        printed.extend(more);
    }
    assert!(printed.len() > 8 << 20, "{}", printed.len());
    while client.stdout.len() < printed.len() {
        client.receive(&mut session, now);
        client.acknowledge(&mut session, now);
    }
    assert!(client.stdout == printed);
    assert!(session.wants_output());
}
