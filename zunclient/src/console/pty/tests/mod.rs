//! Tests of the links against a gate in this process. The clock is virtual.

mod gate;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use zun_common::pty::{ClientHello, Ending, EndingReason, Replay, close};
use zun_common::units::TerminalSize;

use super::{OpenRequest, open_at};
use crate::console::{Console, ConsoleError, Event, Events};
use gate::Gate;

const SECOND: Duration = Duration::from_secs(1);

async fn opened(gate: &Gate) -> Console {
    open(gate).await.expect("a console")
}

async fn open(gate: &Gate) -> Result<Console, ConsoleError> {
    open_with(gate, false).await
}

async fn open_with(gate: &Gate, starts: bool) -> Result<Console, ConsoleError> {
    let hello = ClientHello { writes: true, replay: Replay::Screen, ..ClientHello::default() };
    let opened = open_at(gate.clone(), OpenRequest { hello, starts }, gate.tasks.child()).await;
    opened.map(|(console, _)| console)
}

async fn next(console: &mut Console) -> Option<Event> {
    timeout(100 * SECOND, console.events.next()).await.expect("in time")
}

/// Returns the next event, but no news of the link.
async fn next_output(console: &mut Console) -> Option<Event> {
    loop {
        match next(console).await {
            Some(Event::Reconnecting { .. } | Event::Reconnected) => {}
            event => return event,
        }
    }
}

fn out(text: &'static str) -> Event {
    Event::Stdout(Bytes::from_static(text.as_bytes()))
}

fn reconnecting() -> Event {
    Event::Reconnecting { host: "gate.example:2377".to_owned() }
}

fn exits(code: i64) -> Ending {
    Ending::with_code(EndingReason::Exited, code, "")
}

/// `count` bytes that do not repeat soon.
fn numbers(count: usize) -> Vec<u8> {
    (0_u32..).flat_map(|number| format!("{number} ").into_bytes()).take(count).collect()
}

#[tokio::test(start_paused = true)]
async fn a_session_types_prints_resizes_signals_and_exits() {
    let gate = Gate::new();
    let mut console = opened(&gate).await;
    assert_eq!(console.running, Some(true));
    console.input.write(Bytes::from_static(b"ls\r")).await.expect("sent");
    console.control.resize(TerminalSize { rows: 30, columns: 90 }).await.expect("sent");
    console.control.signal("SIGUSR1").await.expect("sent");
    console.input.eof().await.expect("sent");
    gate.until(|state| state.stdin == b"ls\r" && state.stdin_ended).await;
    gate.until(|state| state.sizes.iter().any(|size| (size.width, size.height) == (90, 30))).await;
    gate.until(|state| state.signals == ["SIGUSR1"]).await;
    gate.print(b"hello");
    assert_eq!(next(&mut console).await, Some(out("hello")));
    gate.change(|state| state.ending = Some(exits(3)));
    assert_eq!(next(&mut console).await, Some(Event::Exit(3)));
    assert_eq!(next(&mut console).await, None);
    gate.until(|state| state.is_closed).await;
    assert_eq!(gate.state().dials, 1);
}

#[tokio::test(start_paused = true)]
async fn output_is_acknowledged_only_after_it_was_shown() {
    let gate = Gate::new();
    let mut console = opened(&gate).await;
    gate.print(b"hello");
    assert_eq!(next(&mut console).await, Some(out("hello")));
    tokio::time::sleep(SECOND).await;
    assert_eq!(gate.state().acknowledged, 0);
    assert!(timeout(SECOND, console.events.next()).await.is_err());
    gate.until(|state| state.acknowledged == 5).await;
}

/// Returns everything that is printed until the process exits with 0.
async fn show_all(events: &mut dyn Events) -> Vec<u8> {
    let mut shown = Vec::new();
    loop {
        match events.next().await {
            Some(Event::Stdout(data)) => shown.extend_from_slice(&data),
            Some(Event::Reconnecting { .. } | Event::Reconnected) => {}
            Some(Event::Exit(0)) => return shown,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_or_repeated_over_links_that_are_cut_at_any_byte() {
    let gate = Gate::new();
    gate.change(|state| state.cut_after = Some(40_000));
    let mut console = loop {
        // The first link may be cut before its hello.
        if let Ok(console) = open(&gate).await {
            break console;
        }
    };
    let (typed, printed) = (numbers(700_000), numbers(600_000));
    let type_all = async {
        for piece in typed.chunks(3000) {
            console.input.write(Bytes::copy_from_slice(piece)).await.expect("open");
            tokio::task::yield_now().await;
        }
        console.control.signal("SIGTERM").await.expect("open");
        console.input.eof().await.expect("open");
        gate.until(|state| state.stdin_ended && !state.signals.is_empty()).await;
        gate.change(|state| state.ending = Some(exits(0)));
    };
    let print_all = async {
        for piece in printed.chunks(2000) {
            gate.print(piece);
            tokio::task::yield_now().await;
        }
    };
    let show_all = show_all(console.events.as_mut());
    let ((), (), shown) =
        timeout(1200 * SECOND, async { tokio::join!(type_all, print_all, show_all) })
            .await
            .expect("in time");
    let state = gate.state();
    assert!(state.stdin == typed, "stdin differs");
    assert_eq!(state.signals, ["SIGTERM"]);
    assert!(shown == printed, "output differs: {} of {}", shown.len(), printed.len());
    assert!(state.hellos.len() > 10, "only {} links", state.hellos.len());
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_restarts_is_resumed_at_once_and_the_input_is_not_ended() {
    let gate = Gate::new();
    let mut console = opened(&gate).await;
    let begun = Instant::now();
    gate.change(|state| state.close = Some(close::RESTARTING));
    assert_eq!(next(&mut console).await, Some(reconnecting()));
    gate.change(|state| state.close = None);
    console.input.write(Bytes::from_static(b"x")).await.expect("kept");
    assert_eq!(next(&mut console).await, Some(Event::Reconnected));
    gate.until(|state| state.stdin == b"x").await;
    assert!(begun.elapsed() < SECOND / 2, "{:?}", begun.elapsed());
    assert!(!gate.state().stdin_ended);
    let hello = gate.state().hellos.pop().expect("a hello");
    assert_eq!(hello.resume.expect("a resume").session, "session");
}

#[tokio::test(start_paused = true)]
async fn a_silent_link_is_replaced_within_two_seconds_while_typing() {
    let gate = Gate::new();
    let mut console = opened(&gate).await;
    gate.change(|state| (state.silent, state.generation) = (Some(0), 0));
    tokio::time::sleep(SECOND).await;
    let begun = Instant::now();
    console.input.write(Bytes::from_static(b"x")).await.expect("kept");
    // Only the first link is silent. The second one is dialled beside it.
    tokio::time::sleep(SECOND / 10).await;
    let second = Gate::clone(&gate);
    let (silent, replaced) = (gate.until(|state| state.dials == 2), async {
        second.until(|state| state.dials == 2).await;
        second.change(|state| state.silent = None);
    });
    tokio::join!(silent, replaced);
    gate.until(|state| state.stdin == b"x").await;
    assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_silent_idle_link_is_noticed_within_ten_seconds_and_may_recover() {
    let gate = Gate::new();
    let mut console = opened(&gate).await;
    gate.change(|state| (state.silent, state.refuses) = (Some(0), true));
    let begun = Instant::now();
    assert_eq!(next(&mut console).await, Some(reconnecting()));
    assert!(begun.elapsed() < 10 * SECOND, "{:?}", begun.elapsed());
    gate.change(|state| state.silent = None);
    assert_eq!(next(&mut console).await, Some(Event::Reconnected));
    assert_eq!(gate.state().hellos.len(), 1, "the link is the same");
}

#[tokio::test(start_paused = true)]
async fn an_idle_link_stays_open() {
    let gate = Gate::new();
    let mut console = opened(&gate).await;
    assert!(timeout(600 * SECOND, console.events.next()).await.is_err());
    assert_eq!((gate.state().dials, gate.state().hellos.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_does_not_come_back_in_time_ends_the_session() {
    let gate = Gate::new();
    let mut console = opened(&gate).await;
    gate.change(|state| (state.generation, state.refuses) = (1, true));
    assert_eq!(next(&mut console).await, Some(reconnecting()));
    let closing = match next(&mut console).await {
        Some(Event::Closed(closing)) => closing,
        other => panic!("{other:?}"),
    };
    assert!(closing.may_run);
    let begin = "there was no connection to gate.example:2377 for 1m (";
    assert!(closing.why.starts_with(begin), "{}", closing.why);
    assert!(closing.why.contains("cannot reach the host"), "{}", closing.why);
    assert_eq!(next(&mut console).await, None);
    assert!(console.input.write(Bytes::from_static(b"x")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_final_close_ends_the_session_with_its_reason() {
    for code in [close::REVOKED, close::UNKNOWN_SESSION, close::REPLACED, close::PROTOCOL_ERROR] {
        let gate = Gate::new();
        let mut console = opened(&gate).await;
        gate.change(|state| state.close = Some(code));
        let ended = next_output(&mut console).await;
        assert!(matches!(ended, Some(Event::Closed(_))), "{code}: {ended:?}");
        assert_eq!(gate.state().dials, 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_typed_is_sent_before_the_user_leaves() {
    let gate = Gate::new();
    let mut console = opened(&gate).await;
    console.input.write(Bytes::from_static(b"last")).await.expect("sent");
    console.input.detach().await;
    gate.until(|state| state.is_closed).await;
    assert_eq!(gate.state().stdin, b"last");
}

#[tokio::test(start_paused = true)]
async fn the_user_leaves_at_once_while_the_link_is_away() {
    let gate = Gate::new();
    let mut console = opened(&gate).await;
    gate.change(|state| (state.generation, state.refuses) = (1, true));
    assert_eq!(next(&mut console).await, Some(reconnecting()));
    tokio::time::sleep(10 * SECOND).await;
    timeout(SECOND / 10, console.input.detach()).await.expect("at once");
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_refuses_at_first_is_an_error() {
    let gate = Gate::new();
    gate.change(|state| state.refuses = true);
    assert!(matches!(open(&gate).await, Err(ConsoleError::Unreachable { .. })));
}

#[tokio::test(start_paused = true)]
async fn an_exec_that_may_have_started_is_asked_for_again_and_a_container_is_not() {
    let gate = Gate::new();
    gate.change(|state| state.cut_after = Some(100));
    let lost = open(&gate).await.err().expect("no console");
    assert!(!matches!(lost, ConsoleError::MayHaveStarted(_)), "it starts nothing: {lost:?}");
    assert_eq!(gate.state().dials, 1);
    let mending = async {
        gate.until(|state| state.dials == 3).await;
        gate.change(|state| state.refuses = true);
        gate.until(|state| state.dials == 5).await;
        gate.change(|state| (state.refuses, state.cut_after) = (false, None));
    };
    let opening = async { open_with(&gate, true).await.expect("a console") };
    let (_console, ()) = tokio::join!(opening, mending);
    assert_eq!(gate.state().hellos.last().expect("a hello").replay, Replay::All);
    gate.change(|state| state.refuses = true);
    let begin = Instant::now();
    assert!(matches!(open_with(&gate, true).await, Err(ConsoleError::Unreachable { .. })));
    assert_eq!(begin.elapsed(), Duration::ZERO, "nothing was sent");
    gate.change(|state| (state.refuses, state.cut_after) = (false, Some(100)));
    assert!(matches!(open_with(&gate, true).await, Err(ConsoleError::MayHaveStarted(_))));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_lost_before_the_hello_does_not_waste_a_ticket() {
    let mut gate = Gate::new();
    gate.ticket = Some("A".repeat(43).parse().expect("a ticket"));
    gate.change(|state| state.cut_after = Some(100));
    let mending = async {
        gate.until(|state| state.dials == 1).await;
        gate.change(|state| state.cut_after = None);
    };
    let (opened, ()) = tokio::join!(open(&gate), mending);
    assert!(opened.is_ok(), "{:?}", opened.err());
    assert_eq!(gate.state().dials, 2);
}

#[tokio::test(start_paused = true)]
async fn an_exec_whose_engine_failed_may_run_and_is_asked_for_until_the_gate_knows() {
    let gate = Gate::new();
    gate.change(|state| state.status = Some(502));
    let knows = async {
        gate.until(|state| state.dials == 3).await;
        gate.change(|state| state.status = Some(409));
    };
    let (opened, ()) = tokio::join!(open_with(&gate, true), knows);
    let Err(ConsoleError::MayHaveStarted(cause)) = opened else { panic!("it is not known") };
    assert!(matches!(*cause, ConsoleError::Refused { status: 502, .. }), "{cause}");
    assert_eq!(gate.state().dials, 3, "it is not asked for again");
    gate.change(|state| state.status = Some(502));
    let knows = async {
        gate.until(|state| state.dials == 5).await;
        gate.change(|state| state.status = None);
    };
    let (opened, ()) = tokio::join!(open_with(&gate, true), knows);
    assert!(opened.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_restarts_before_its_hello_is_asked_again() {
    for starts in [false, true] {
        let gate = Gate::new();
        gate.change(|state| state.close_before_hello = Some(close::RESTARTING));
        let restarting = async {
            gate.until(|state| state.dials == 2).await;
            gate.change(|state| (state.close_before_hello, state.status) = (None, Some(503)));
            gate.until(|state| state.dials == 3).await;
            gate.change(|state| state.status = None);
        };
        let (opened, ()) = tokio::join!(open_with(&gate, starts), restarting);
        assert!(opened.is_ok(), "{starts}: {:?}", opened.err());
        gate.change(|state| state.close_before_hello = Some(close::RESTARTING));
        let error = open_with(&gate, starts).await.err().expect("it stays away");
        assert_eq!(matches!(error, ConsoleError::MayHaveStarted(_)), starts, "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn input_without_a_terminal_ends_and_with_one_is_a_key() {
    let gate = Gate::new();
    gate.change(|state| state.tty = true);
    let mut console = opened(&gate).await;
    console.input.eof().await.expect("sent");
    gate.until(|state| state.stdin == b"\x04").await;
    assert!(!gate.state().stdin_ended);
}
