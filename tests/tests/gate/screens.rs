//! Clients that join late (C22, C73, C74).

use std::time::{Duration, Instant};

use zun_common::grant::Mode;
use zun_common::pty::{ClientHello, Frame, Replay, Size};
use zun_tests::recorder;

use super::bench::{Bench, console};
use super::client::{Session, hello};

const SIZE: Size = Size { width: 80, height: 24 };

/// A client that asks for the screen.
fn late() -> ClientHello {
    ClientHello { replay: Replay::Screen, ..hello() }
}

/// A client that asks for all output, and has this size.
fn first() -> ClientHello {
    ClientHello { size: Some(SIZE), ..hello() }
}

/// What a terminal shows to which this was written.
fn shown(output: &[u8]) -> vt100::Parser {
    let mut terminal = vt100::Parser::new(SIZE.height, SIZE.width, 0);
    terminal.process(output);
    terminal
}

/// Everything that another terminal must have in common.
fn state(terminal: &vt100::Parser) -> (Vec<String>, String) {
    let screen = terminal.screen();
    let rows = screen.rows_formatted(0, SIZE.width);
    let rows = rows.map(|row| String::from_utf8_lossy(&row).trim_end().to_owned()).collect();
    let modes = format!(
        "{:?} {} {} {} {} {} {:?} {:?}",
        screen.cursor_position(),
        screen.hide_cursor(),
        screen.alternate_screen(),
        screen.application_cursor(),
        screen.application_keypad(),
        screen.bracketed_paste(),
        screen.mouse_protocol_mode(),
        screen.mouse_protocol_encoding(),
    );
    (rows, modes)
}

#[tokio::test(flavor = "multi_thread")]
async fn c22_a_prompt_that_was_printed_before_is_visible_at_once() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let id = bench.shell(true, "printf 'PROMPT> '; read x; echo got $x");
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let connect = |hello| Session::connect(&bench.dialer, &identity, &grant, hello);
    let mut starter = connect(first()).await.expect("a session");
    bench.docker(&["start", &id]);
    starter.until("PROMPT> ").await;
    starter.detach().await;
    let begun = Instant::now();
    let mut late = connect(late()).await.expect("a session");
    assert!(late.hello.has_screen);
    let (size, drawn) = late.screen().await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(size, SIZE);
    assert!(drawn.starts_with(b"PROMPT>"), "{drawn:?}");
    assert_eq!(shown(&drawn).screen().cursor_position(), (0, 8));
    late.types(b"x\r").await;
    late.until("got x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c74_a_client_that_joins_inside_an_editor_has_its_screen_and_modes_and_sees_the_primary_screen_later()
 {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    // busybox's vi uses neither the mouse nor bracketed paste.
    let modes = r"printf '\033[?1000h\033[?1006h\033[?2004h\033[?1h\033='";
    let script = format!(
        "seq 1000 2000 > /file; echo before; read x; {modes}; vi /file; {} echo; echo after; read y",
        r"printf '\033[?1000l\033[?1006l\033[?2004l\033[?1l\033>';"
    );
    let id = bench.shell(true, &script);
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let connect = |hello| Session::connect(&bench.dialer, &identity, &grant, hello);
    let mut typist = connect(first()).await.expect("a session");
    bench.docker(&["start", &id]);
    typist.until("before").await;
    typist.types(b"\r").await;
    typist.until("1022").await;
    typist.types(b"Gi-text-\x1b").await;
    typist.until("-text-").await;
    typist.until("1001/1001").await;
    let mut late = connect(late()).await.expect("a session");
    let (_, drawn) = late.screen().await;
    let (original, mut copy) = (shown(&typist.stdout), shown(&drawn));
    assert_eq!(state(&original), state(&copy));
    assert!(copy.screen().alternate_screen() && copy.screen().bracketed_paste());
    typist.types(b":q!\r").await;
    typist.until("after").await;
    late.until("after").await;
    copy.process(&late.stdout);
    assert_eq!(state(&shown(&typist.stdout)), state(&copy));
    assert!(copy.screen().contents().starts_with("before\n"), "{}", copy.screen().contents());
}

#[tokio::test(flavor = "multi_thread")]
async fn c73_late_joiners_are_asked_no_earlier_question() {
    let _recorder = recorder!();
    let bench = Bench::start().await;
    let questions = r"printf '\033[c\033[>c\033[6n\033]11;?\033\\\033]10;?\007\033[?2004$pasked'";
    let id = bench.shell(true, &format!("{questions}; read x; echo got $x"));
    let grant = console(&id, Mode::ReadWrite);
    let identity = bench.granted(&grant);
    let connect = |hello| Session::connect(&bench.dialer, &identity, &grant, hello);
    let mut starter = connect(first()).await.expect("a session");
    bench.docker(&["start", &id]);
    starter.until("asked").await;
    for _ in 0..3 {
        let mut late = connect(late()).await.expect("a session");
        let (_, drawn) = late.screen().await;
        let text = String::from_utf8_lossy(&drawn).into_owned();
        assert!(text.starts_with("asked"), "{text:?}");
        assert!(!text.contains("[c") && !text.contains("6n") && !text.contains('?'), "{text:?}");
        assert!(late.stdout.is_empty());
        assert!(matches!(late.other.as_slice(), [Frame::Snapshot { .. }]), "{:?}", late.other);
    }
}
