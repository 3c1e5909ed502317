use proptest::prelude::*;

use super::*;

/// The pieces of a stream that arrives in these reads. Text that is not interrupted is one piece.
fn pieces<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> (Vec<(bool, Vec<u8>)>, Scanner) {
    let (mut scanner, mut pieces) = (Scanner::default(), Vec::<(bool, Vec<u8>)>::new());
    for read in reads {
        scanner.feed(read, |piece| match (piece, pieces.last_mut()) {
            (Piece::Text(text), Some((false, last))) => last.extend(text),
            (Piece::Text(text), _) => pieces.push((false, text.to_vec())),
            (Piece::Sequence(sequence), _) => pieces.push((true, sequence.to_vec())),
        });
    }
    (pieces, scanner)
}

fn sequences(stream: &[u8]) -> Vec<Vec<u8>> {
    let (pieces, _) = pieces([stream]);
    pieces.into_iter().filter(|(is_sequence, _)| *is_sequence).map(|(_, bytes)| bytes).collect()
}

fn followed(stream: &[u8]) -> TerminalModes {
    let (mut scanner, mut modes) = (Scanner::default(), TerminalModes::default());
    scanner.feed(stream, |piece| match piece {
        Piece::Sequence(sequence) => {
            modes.follow(&Sequence::read(sequence).expect("a sequence"));
        }
        Piece::Text(text) => modes.shifted(text),
    });
    modes
}

/// Streams in which sequences, their parts and text are frequent.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop::sample::select(vec![
        &b"\x1b"[..],
        b"\x1b[",
        b"\x1b]0;t",
        b"\x1bP1$r",
        b"\x1bX",
        b"\x1b\\",
        b"\x07",
        b"\x18",
        b"?1000;1006",
        b";",
        b"2",
        b" ",
        b"h",
        b"l",
        b"m",
        b"\x7f",
        b"\r\n",
        b"text",
        "\u{e9}\u{20ac}\u{1f600}".as_bytes(),
        b"\xe2\x82",
        b"\x80",
        b"\xff",
    ]);
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn the_reads_do_not_matter(stream in streams(), length in 1_usize..9) {
        let (whole, end) = pieces([stream.as_slice()]);
        let (cut, other_end) = pieces(stream.chunks(length));
        prop_assert_eq!(whole, cut);
        prop_assert_eq!(end.held(), other_end.held());
        prop_assert_eq!(end.is_whole(), end.held().is_empty());
    }

    #[test]
    fn a_scanner_that_gets_the_continuation_continues_like_the_first_one(
        before in streams(), after in streams(),
    ) {
        let (_, mut first) = pieces([before.as_slice()]);
        let (_, mut second) = pieces([first.continuation().as_slice()]);
        let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
        first.feed(&after, |piece| of_first.push(format!("{piece:?}")));
        second.feed(&after, |piece| of_second.push(format!("{piece:?}")));
        prop_assert_eq!(of_first, of_second);
    }

    #[test]
    fn no_byte_of_plain_text_is_lost(text in "\\PC*") {
        let (pieces, scanner) = pieces(text.as_bytes().chunks(1));
        let all: Vec<u8> = pieces.into_iter().flat_map(|(_, bytes)| bytes).collect();
        prop_assert_eq!(all, text.as_bytes());
        prop_assert!(scanner.is_whole());
    }
}

#[test]
fn a_sequence_ends_where_a_terminal_ends_it() {
    assert_eq!(sequences(b"a\x1b[1;2Hb\x1b(0c\x1bM"), [&b"\x1b[1;2H"[..], b"\x1b(0", b"\x1bM"]);
    assert_eq!(
        sequences(b"\x1b]0;a\x07b\x1b]2;c\x1b\\"),
        [&b"\x1b]0;a\x07"[..], b"\x1b]2;c\x1b\\"]
    );
    // BEL ends only an OSC.
    assert_eq!(sequences(b"\x1bPq\x07x\x1b\\"), [b"\x1bPq\x07x\x1b\\"]);
    // Another sequence, CAN, and a byte that no sequence has.
    assert_eq!(sequences(b"\x1b[1\x1b[2m\x1b]0;a\x1b[3m\x1b[4\x18m"), [b"\x1b[2m", b"\x1b[3m"]);
    let (pieces, _) = pieces([&b"\x1b[1\n2m\x1b[\xc3\xa9"[..]]);
    let expected = [(false, b"\n".to_vec()), (true, b"\x1b[12m".to_vec()), (false, "é".into())];
    assert_eq!(pieces, expected);
}

#[test]
fn a_long_string_is_skipped_and_its_place_is_known() {
    for (begin, end) in
        [(&b"\x1b]52;c;"[..], &b"\x07"[..]), (b"\x1bPq", b"\x1b\\"), (b"\x1b_G", b"\x1b\\")]
    {
        let long = [begin, &vec![b'A'; 100_000]].concat();
        let (none, scanner) = pieces([long.as_slice()]);
        assert!(none.is_empty() && scanner.held().len() < 5000);
        let continuation = scanner.continuation();
        assert!(continuation.len() < 8);
        let (after, other) = pieces([&continuation, &b"more"[..], end, b"\x1b[mtext"]);
        assert!(other.is_whole());
        assert_eq!(after.last(), Some(&(false, b"text".to_vec())));
    }
}

#[test]
fn modes_are_set_in_their_order_and_reset() {
    let vim = b"\x1b[?1049h\x1b[22;0;0t\x1b[>4;2m\x1b[?1h\x1b=\x1b[?2004h\x1b[?1004h\x1b[1;24r\x1b[?12h\x1b[?25l\
        \x1b]2;file\x07\x1b[?1006;1000h\x1b[2 q";
    let modes = followed(vim);
    assert_eq!(modes.alternate(), Some(1049));
    let restored = String::from_utf8(modes.restore()).expect("text");
    let expected =
        "\x1b[?2004h\x1b[?1004h\x1b[?1006h\x1b[?1000h\x1b=\x1b[2 q\x1b[>4;2m\x1b]2;file\x1b\\";
    assert_eq!(restored, expected);
    let reset = String::from_utf8(modes.reset()).expect("text");
    for undone in ["?1l", "?1000l", "?1006l", "?2004l", "?1004l", "?25h", "?1049l", "[0 q", "[>4m"]
    {
        assert!(reset.contains(undone), "{undone} in {reset:?}");
    }
    let after = followed(&[vim, reset.as_bytes()].concat());
    assert_eq!(String::from_utf8_lossy(&after.reset()), "");
    let quits = b"\x1b[?1006;1000l\x1b[>4;m\x1b[23;0;0t\x1b[?1004l\x1b[?2004l\x1b[?1l\x1b>\x1b[r\x1b[?25h\x1b[0 q\
        \x1b[?1049l";
    assert_eq!(String::from_utf8_lossy(&followed(&[&vim[..], quits].concat()).reset()), "");
}

#[test]
fn a_fresh_terminal_needs_nothing() {
    for stream in [
        &b"text\r\n"[..],
        b"\x1b[1m\x1b[0m",
        b"\x1b[?25l\x1b[?25h",
        b"\x1b[?1049h\x1b[?1049l",
        b"\x1b[?2026h",
        b"\x1b[?1000h\x1b=\x1b[4h\x1bc",
        b"\x0e\x0f",
    ] {
        let modes = followed(stream);
        assert_eq!((modes.restore(), modes.reset()), (vec![], vec![]), "{stream:?}");
    }
}

proptest! {
    #[test]
    fn restoring_gives_the_same_modes_and_resetting_gives_none(stream in modes_streams()) {
        let modes = followed(&stream);
        let restored = followed(&modes.restore());
        prop_assert_eq!(restored.restore(), modes.restore());
        let reset = followed(&[stream, modes.reset()].concat());
        prop_assert_eq!(reset.reset(), Vec::<u8>::new());
    }
}

fn modes_streams() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        (
            prop::sample::select(vec![1, 6, 7, 25, 66, 1000, 1002, 1006, 2004, 1049, 1047, 47]),
            any::<bool>()
        )
            .prop_map(|(mode, on)| format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' })),
        (0_u16..7).prop_map(|style| format!("\x1b[{style} q")),
        prop::sample::select(vec![
            "\x1b=",
            "\x1b>",
            "\x1bc",
            "\x1b[!p",
            "\x1b[31m",
            "\x1b[m",
            "\x1b[2;5r",
            "\x1b[4h",
            "\x1b(0",
            "\x1b[>4;2m",
            "\x1b[>1u",
            "\x1b[<u",
            "\x1b[=3;2u",
            "\x1b]2;t\x07",
            "\x1b[22;2t",
            "\x1b[23;2t",
        ])
        .prop_map(ToOwned::to_owned),
    ];
    prop::collection::vec(part, 0..30).prop_map(|parts| parts.concat().into_bytes())
}
