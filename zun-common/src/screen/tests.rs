use crate::terminal::{Piece, Scanner, Sequence};
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64 << 10;
const SIZE: Size = Size { width: 80, height: 24 };
const SMALL: Size = Size { width: 11, height: 5 };

/// Recorded programs with the sizes of their terminals.
const RECORDED: [(&str, &[u8], Size); 5] = [
    ("vim", include_bytes!("recorded/vim"), SIZE),
    ("less", include_bytes!("recorded/less"), SIZE),
    ("monitor", include_bytes!("recorded/monitor"), SIZE),
    ("shell", include_bytes!("recorded/shell"), SIZE),
    ("tmux", include_bytes!("recorded/tmux"), Size { width: 100, height: 30 }),
];

fn shown(size: Size, output: &[u8]) -> Screen {
    let mut screen = Screen::new(size);
    screen.feed(output, Care::Whole);
    screen
}

/// Plays the snapshot of a screen into a fresh one.
fn played(screen: &Screen) -> Screen {
    let snapshot = screen.snapshot(LIMIT);
    assert!(snapshot.is_exact && snapshot.draw.len() <= LIMIT);
    shown(snapshot.size, &snapshot.draw)
}

/// All that is visible, or that later output can make visible.
fn state(screen: &Screen) -> (String, String, Vec<u8>) {
    let Screen { model: Model { terminal, .. }, scanner, modes, .. } = screen;
    let cells = |screen: avt::Screen<'_>| -> Vec<String> {
        screen.visible_lines().map(|line| format!("{:?}", line.cells())).collect()
    };
    let cells = [cells(terminal.primary_screen()), cells(terminal.screen())].concat().join("\n");
    let rest = [modes.restore(), scanner.continuation()].concat();
    (terminal.dump(), cells, rest)
}

fn has_question(bytes: &[u8]) -> bool {
    let mut found = false;
    Scanner::default().feed(bytes, |piece| {
        let Piece::Sequence(bytes) = piece else { return };
        found |= match Sequence::read(bytes).expect("a sequence") {
            Sequence::Csi(csi) => {
                matches!(csi.last, b'c' | b'n' | b'x' | b't') || csi.intermediates == b"$"
            }
            Sequence::Osc(content) => content.ends_with(b"?"),
            Sequence::Dcs(_) | Sequence::Other => true,
            Sequence::Escape { last, .. } => last == b'Z',
        };
    });
    found
}

#[test]
fn a_snapshot_of_a_recorded_program_equals_its_screen_at_each_moment() {
    for (name, output, size) in RECORDED {
        for end in (0..output.len()).step_by(97).chain([output.len()]) {
            let original = shown(size, &output[..end]);
            let copy = played(&original);
            assert_eq!(state(&original), state(&copy), "{name} after {end} bytes");
            assert!(!has_question(&original.snapshot(LIMIT).draw), "{name} after {end} bytes");
        }
    }
}

#[test]
fn a_recorded_program_continues_in_a_snapshot_as_in_the_original() {
    for (name, output, size) in RECORDED {
        for cut in [output.len() / 3, output.len() / 2, output.len() - 100] {
            let mut copy = played(&shown(size, &output[..cut]));
            copy.feed(&output[cut..], Care::Whole);
            assert_eq!(state(&shown(size, output)), state(&copy), "{name} from {cut}");
        }
    }
}

/// Another model draws the snapshot, and shows what it shows of the program's output.
#[test]
fn another_terminal_shows_a_snapshot_like_the_original_output() {
    for (name, output, size) in RECORDED {
        let mut direct = vt100::Parser::new(size.height, size.width, 0);
        direct.process(output);
        let mut drawn = vt100::Parser::new(size.height, size.width, 0);
        drawn.process(&shown(size, output).snapshot(LIMIT).draw);
        let (direct, drawn) = (direct.screen(), drawn.screen());
        // That model distinguishes blanks from cells that were never written.
        let rows = |screen: &vt100::Screen| -> Vec<String> {
            screen.rows(0, size.width).map(|row| row.trim_end().to_owned()).collect()
        };
        assert_eq!(rows(direct), rows(drawn), "{name}");
        let modes = |screen: &vt100::Screen| {
            let mouse = (screen.mouse_protocol_mode(), screen.mouse_protocol_encoding());
            let keys = (screen.application_cursor(), screen.application_keypad());
            let paste = screen.bracketed_paste();
            (
                screen.cursor_position(),
                screen.hide_cursor(),
                screen.alternate_screen(),
                mouse,
                keys,
                paste,
            )
        };
        assert_eq!(modes(direct), modes(drawn), "{name}");
    }
}

#[test]
fn leaving_an_editor_after_a_snapshot_shows_the_primary_screen() {
    let before = b"$ ls\r\na b\r\n$ vim\r\n\x1b[1;31m";
    let editor =
        b"\x1b[?1049h\x1b[22;0;0t\x1b[?1h\x1b=\x1b[?2004h\x1b[?1000h\x1b[H\x1b[2Jtext\x1b[?1047$p";
    let leaves = b"\x1b[?1000l\x1b[?2004l\x1b[?1l\x1b>\x1b[?1049lX";
    let mut copy = played(&shown(SMALL, &[&before[..], editor].concat()));
    assert!(copy.snapshot(LIMIT).draw.windows(8).any(|part| part == b"\x1b[?1049h"));
    copy.feed(leaves, Care::Whole);
    let original = shown(SMALL, &[&before[..], editor, leaves].concat());
    assert_eq!(state(&original), state(&copy));
    let mut terminal = vt100::Parser::new(SMALL.height, SMALL.width, 0);
    let snapshot = shown(SMALL, &[&before[..], editor].concat()).snapshot(LIMIT);
    terminal.process(&snapshot.draw);
    terminal.process(leaves);
    assert_eq!(terminal.screen().contents(), "$ ls\na b\n$ vim\nX");
}

#[test]
fn a_snapshot_uses_only_sequences_that_all_terminals_know() {
    let line = format!("\x1b[38;5;200m{}\x1b[48;2;1;2;3m{}", "-".repeat(30), "=".repeat(30));
    let draw = shown(SIZE, format!("{line}\r\n\x1b[3g\x1b[9G\x1bH\x1b[m\r").as_bytes())
        .snapshot(LIMIT)
        .draw;
    let text = String::from_utf8(draw).expect("text");
    assert!(text.contains(&"-".repeat(30)) && text.contains(&"=".repeat(30)), "{text:?}");
    assert!(text.contains("38;5;200") && text.contains("48;2;1;2;3"), "{text:?}");
    assert!(text.contains("\x1b[3g") && text.contains("\x1bH"), "{text:?}");
    assert!(!text.contains(':') && !text.contains('W'), "{text:?}");
}

#[test]
fn a_snapshot_keeps_to_its_limit_and_says_what_is_missing() {
    let size = Size { width: 250, height: 80 };
    let cell = |number: usize| {
        format!("\x1b[38;2;{};{};9m\x1b[48;2;{};7;9mx", number % 256, number % 251, number % 249)
    };
    let page: String = (0..250 * 80).map(cell).collect();
    let screen = shown(size, page.as_bytes());
    let snapshot = screen.snapshot(LIMIT);
    assert!(!snapshot.is_exact && snapshot.draw.len() <= LIMIT, "{}", snapshot.draw.len());
    assert!(snapshot.draw.windows(100).any(|part| part == [b'x'; 100]));
    let alternate =
        shown(size, format!("{page}\x1b[m\x1b[?1049h\x1b[Heditor").as_bytes()).snapshot(LIMIT);
    assert!(!alternate.is_exact && alternate.draw.len() < 200, "{}", alternate.draw.len());
    assert!(screen.snapshot(10).draw.len() <= 10);
}

#[test]
fn a_size_that_is_too_large_or_empty_is_not_modelled() {
    for (width, height) in [(u16::MAX, u16::MAX), (0, 24), (80, 0)] {
        let mut screen = Screen::new(Size { width, height });
        screen.feed(b"text\x1b[?1000h", Care::Whole);
        assert!(!screen.snapshot(LIMIT).is_exact);
        let mut screen = shown(SIZE, b"text");
        screen.resize(Size { width, height });
        assert!(!screen.snapshot(LIMIT).is_exact);
        assert_eq!(screen.model.terminal.size(), (80, 24));
    }
}

#[test]
fn short_sequences_that_cost_much_count_as_much() {
    let mut screen = Screen::new(SIZE);
    screen.feed(&b"x\x1b[65535b".repeat(1000), Care::Whole);
    assert!(screen.take_work() >= 80_000);
    screen.feed(&b"\x1b[2J".repeat(1000), Care::Whole);
    assert!(screen.take_work() >= 240_000);
    screen.feed(&[b'x'; 1000], Care::Whole);
    assert!((1000..1100).contains(&screen.take_work()));
    assert_eq!(screen.take_work(), 0);
}

#[test]
fn skimmed_output_keeps_the_modes_and_the_screen_that_is_selected() {
    let mut screen = shown(SIZE, b"before");
    screen.feed(b"lost\x1b[?1049h\x1b[?1006;1000h\x1b[5;9r\x1b[?25l\x1b[?20", Care::Modes);
    screen.feed(b"04h\x1b[Hafter", Care::Whole);
    let snapshot = screen.snapshot(LIMIT);
    assert!(!snapshot.is_exact);
    let copy = shown(SIZE, &snapshot.draw);
    assert_eq!(state(&screen), state(&copy));
    let text = String::from_utf8_lossy(&snapshot.draw).into_owned();
    assert!(
        text.contains("after") && text.contains("before") && !text.contains("lost"),
        "{text:?}"
    );
    for mode in ["?1049h", "?1000h", "?2004h", "?25l", "5;9r"] {
        assert!(text.contains(mode), "{mode} in {text:?}");
    }
}

proptest! {
    #[test]
    fn a_snapshot_equals_the_screen_and_continues_like_it(
        before in output(), after in output(), length in 1_usize..50, other in sizes(),
    ) {
        let mut original = Screen::new(SMALL);
        for read in before.chunks(length) {
            original.feed(read, Care::Whole);
        }
        let mut copy = played(&original);
        prop_assert_eq!(state(&original), state(&copy));
        prop_assert!(!has_question(&original.snapshot(LIMIT).draw));
        original.feed(&after, Care::Whole);
        copy.feed(&after, Care::Whole);
        prop_assert_eq!(state(&original), state(&copy));
        original.resize(other);
        let Snapshot { draw, is_exact, .. } = original.snapshot(LIMIT);
        let restores_cursor = draw.windows(3).any(|part| part == b"\x1b[u");
        prop_assert_eq!(is_exact, !restores_cursor);
        if is_exact {
            prop_assert_eq!(state(&original), state(&played(&original)));
        }
    }
}

#[test]
fn a_drawing_that_may_lose_the_origin_mode_is_not_exact() {
    let mut screen = Screen::new(SMALL);
    screen.feed("\x1b[?6h😀一aa€😀 €€\x1b[2;3r".as_bytes(), Care::Whole);
    assert!(screen.snapshot(LIMIT).is_exact);
    screen.resize(Size { width: 12, height: 5 });
    assert!(!screen.snapshot(LIMIT).is_exact);
}

fn sizes() -> impl Strategy<Value = Size> {
    (1_u16..30, 1_u16..12).prop_map(|(width, height)| Size { width, height })
}

/// The output of a program that uses a small terminal in all ways.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let number = || 0_u16..14;
    let last = prop::sample::select("@ABCDEFGHIJKLMPSTXZ`abdefgmrsu".chars().collect::<Vec<_>>());
    let mode =
        prop::sample::select(vec![1, 5, 6, 7, 12, 25, 47, 66, 1000, 1004, 1047, 1048, 1049, 2004]);
    let part = prop_oneof![
        4 => "[a-z \u{e9}\u{20ac}\u{4e00}\u{1f600}]{0,16}".prop_map(String::into_bytes),
        4 => (number(), number(), last).prop_map(|(a, b, last)| format!("\x1b[{a};{b}{last}").into_bytes()),
        2 => (mode, any::<bool>()).prop_map(|(mode, on)| {
            format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }).into_bytes()
        }),
        1 => prop::collection::vec(prop::sample::select(vec![0, 1, 2, 3, 4, 5, 7, 9, 22, 31, 39, 44, 49, 92]), 1..4)
            .prop_map(|words| format!("\x1b[{}m", words.iter().map(u8::to_string).collect::<Vec<_>>().join(";")).into_bytes()),
        3 => prop::sample::select(vec![
            &b"\r\n"[..], b"\n", b"\r", b"\x08", b"\t", b"\x1b7", b"\x1b8", b"\x1bD", b"\x1bE", b"\x1bM", b"\x1bH",
            b"\x1bc", b"\x1b#8", b"\x1b(0", b"\x1b(B", b"\x1b)0", b"\x0e", b"\x0f", b"\x1b=", b"\x1b>", b"\x1b[4h",
            b"\x1b[4l", b"\x1b[20h", b"\x1b[!p", b"\x1b[2 q", b"\x1b]0;title\x07", b"\x1b]2;t\x1b\\",
            b"\x1b[>4;2m", b"\x1b[38;5;100m", b"\x1b[48;2;1;2;3m", b"\x1b[38:5:100m", b"\x18", b"\x7f", b"\xff",
            b"\xe2\x82", b"\xc2\x9b", b"\x1bP1;2q\x1b\\", b"\x1bX", b"\x1b\\",
        ]).prop_map(<[u8]>::to_vec),
        1 => prop::sample::select(vec![
            &b"\x1b"[..], b"\x1b[", b"\x1b[?", b"\x1b[1;", b"\x1b]0;t", b"\x1bP", b"\x1b(",
        ]).prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(part, 0..40).prop_map(|parts| parts.concat())
}
