//! Sessions that are recorded, and what happens if they cannot be.

use zun_common::pty::close;
use zun_common::recording::{GRACE_SECONDS, RecordPolicy};

use super::*;

const GRACE: Duration = Duration::from_secs(GRACE_SECONDS);

fn recorded(policy: RecordPolicy) -> Session {
    let mut session = session(true);
    session.begin_recording(policy, (0, 0));
    session
}

fn states(client: &Client) -> Vec<bool> {
    let states = client.events.iter().filter_map(|event| match event {
        SessionEvent::Recording { on, .. } => Some(*on),
        SessionEvent::Viewers { .. }
        | SessionEvent::ViewerJoined { .. }
        | SessionEvent::ViewerLeft { .. }
        | SessionEvent::SizeOwner { .. }
        | SessionEvent::Reattached
        | SessionEvent::SignalUnconfirmed { .. }
        | SessionEvent::Other => None,
    });
    states.collect()
}

#[test]
fn output_and_sizes_are_recorded_in_their_order_and_clients_are_told() {
    let (mut session, now) = (recorded(RecordPolicy::BestEffort), Instant::now());
    let mut client = join(&mut session, hello(), now);
    client.receive(&mut session, now);
    assert_eq!(states(&client), [true]);
    prints(&mut session, b"one", now);
    session.resized(SIZE);
    prints(&mut session, b" two", now);
    let batch = session.unrecorded_output().expect("output");
    assert_eq!((&batch.stdout[..], &batch.sizes[..]), (&b"one two"[..], &[(3, SIZE)][..]));
    assert_eq!(session.unrecorded_output().as_ref(), Some(&batch), "it was not recorded yet");
    session.recorded_output(&batch);
    assert_eq!(session.unrecorded_output(), None);
}

#[test]
fn a_session_that_must_be_recorded_holds_input_and_ends_if_it_cannot_be() {
    let (mut session, now) = (recorded(RecordPolicy::Required), Instant::now());
    let mut client = join(&mut session, hello(), now);
    client.types(&mut session, b"a", now);
    assert_eq!(engine_reads(&mut session, now).0, b"a");
    session.recording_failed(now);
    client.types(&mut session, b"b", now);
    assert_eq!(engine_reads(&mut session, now).0, b"");
    let refused = join_with(&mut session, hello(), true, now).map(|_| ());
    assert_eq!(refused.expect_err("refused"), JoinRefused::NotRecorded);
    prints(&mut session, b"x", now);
    let batch = session.unrecorded_output().expect("output");
    session.recorded_output(&batch);
    assert_eq!(engine_reads(&mut session, now).0, b"b", "the recording continues");
    client.receive(&mut session, now);
    assert_eq!(states(&client), [true, false, true]);
    session.recording_failed(now);
    let late = session.next_expiry().expect("a time");
    assert_eq!(late, now + GRACE);
    session.expire(now + GRACE / 2);
    assert!(!session.is_abandoned());
    session.expire(late);
    client.receive(&mut session, late);
    assert_eq!(client.closed, Some(close::NOT_RECORDED));
    assert!(session.wants_output(), "nobody watches: the process does not wait");
}

#[test]
fn a_session_that_is_recorded_as_far_as_possible_continues_without_and_what_is_missing_is_known() {
    let (mut session, now) = (recorded(RecordPolicy::BestEffort), Instant::now());
    let mut client = join(&mut session, hello(), now);
    session.recording_failed(now);
    client.types(&mut session, b"a", now);
    assert_eq!(engine_reads(&mut session, now).0, b"a");
    for _ in 0..2 * RING / LARGEST_READ {
        assert!(session.wants_output());
        prints(&mut session, &vec![b'x'; LARGEST_READ], now);
    }
    session.expire(now + 2 * GRACE);
    assert!(!session.is_abandoned());
    let batch = session.unrecorded_output().expect("output");
    let recorded = batch.missing + batch.stdout.len() as u64;
    assert!(batch.missing > 0);
    assert_eq!(recorded, batch.to.0);
    session.recorded_output(&batch);
    client.receive(&mut session, now);
    assert_eq!(states(&client), [true, false, true]);
}

#[test]
fn a_terminal_waits_for_a_recording_that_is_required_and_loses_nothing_of_it() {
    let (mut session, now) = (recorded(RecordPolicy::Required), Instant::now());
    let _client = join(&mut session, hello(), now);
    let mut printed = 0_u64;
    while session.wants_output() {
        prints(&mut session, &vec![b'x'; LARGEST_READ], now);
        printed += LARGEST_READ as u64;
        assert!(printed <= 2 * RING as u64, "it does not wait");
    }
    let mut recorded = 0;
    while let Some(batch) = session.unrecorded_output() {
        assert_eq!(batch.missing, 0);
        recorded += batch.stdout.len() as u64;
        session.recorded_output(&batch);
    }
    assert_eq!(recorded, printed);
    assert!(session.wants_output());
}
