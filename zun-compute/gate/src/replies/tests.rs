use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Feeds messages. Replies pass if `passes`. Returns what passed, and whether somebody typed.
fn fed(messages: &[&[u8]], passes: bool) -> (Vec<u8>, bool) {
    let (mut filter, now) = (ReplyFilter::default(), Instant::now());
    let (mut bytes, mut typed, mut settled) = (Vec::new(), false, 0);
    let mut add = |filtered: Filtered| {
        bytes.extend(&filtered.bytes);
        typed |= filtered.typed;
        settled += filtered.settled;
    };
    for message in messages {
        add(filter.feed(message, now, |_| passes));
    }
    add(filter.expired(now + Duration::from_secs(1)));
    assert_eq!(settled, messages.concat().len(), "each byte is settled once");
    (bytes, typed)
}

const REPLIES: [&[u8]; 17] = [
    b"\x1b[?1;2c",
    b"\x1b[>41;354;0c",
    b"\x1bP!|00000000\x1b\\",
    b"\x1b[0n",
    b"\x1b[?997;1n",
    b"\x1b[12;40R",
    b"\x1b[?12;40;1R",
    b"\x1b]4;1;rgb:cd/00/00\x07",
    b"\x1b]10;rgb:ffff/ffff/ffff\x1b\\",
    b"\x1b]11;rgb:0000/0000/0000\x07",
    b"\x1b]52;c;dGV4dA==\x07",
    b"\x1b[?2004;1$y",
    b"\x1b[8;24;80t",
    b"\x1b[?1u",
    b"\x1bP>|XTerm(370)\x1b\\",
    b"\x1bP1$r0m\x1b\\",
    b"\x1bP1+r544e=787465726d\x1b\\",
];

const KEYS: [&[u8]; 14] = [
    b"\x1b",
    b"\x1b[A",
    b"\x1bOP",
    b"\x1b[15~",
    b"\x1b[1;5C",
    b"\x1b[200~paste\x1b[201~",
    b"\x1bx",
    b"\x1b\x1b[A",
    b"\x1b[Z",
    b"\x1b[97;5u",
    b"text\r",
    b"\x1b]",
    b"\x1bP",
    "\u{e9}\u{1f600}".as_bytes(),
];

const REPORTS: [&[u8]; 5] =
    [b"\x1b[<0;10;5M", b"\x1b[<0;10;5m", b"\x1b[M !!", b"\x1b[I", b"\x1b[O"];

#[test]
fn a_reply_is_passed_on_or_dropped_as_a_whole_and_is_not_typed() {
    for reply in REPLIES {
        assert_eq!(fed(&[reply], true), (reply.to_vec(), false), "{reply:?}");
        assert_eq!(fed(&[reply], false), (Vec::new(), false), "{reply:?}");
        let around = [b"a", reply, b"b"].concat();
        assert_eq!(fed(&[&around], false), (b"ab".to_vec(), true), "{reply:?}");
    }
}

#[test]
fn a_reply_that_is_split_is_dropped_too() {
    for reply in REPLIES {
        for cut in 1..reply.len() {
            let (first, second) = reply.split_at(cut);
            let (passed, _) = fed(&[first, second], false);
            // No more than ESC and one character, which may have been typed.
            let expected = if cut < 3 { first } else { b"" };
            assert_eq!(passed, expected, "{reply:?} at {cut}");
        }
    }
}

#[test]
fn keys_and_reports_are_passed_on_at_once() {
    for (keys, expected) in [(&KEYS[..], true), (&REPORTS[..], false)] {
        for key in keys {
            let (mut filter, now) = (ReplyFilter::default(), Instant::now());
            let filtered = filter.feed(key, now, |_| false);
            assert_eq!((filtered.bytes.as_slice(), filtered.typed), (*key, expected), "{key:?}");
        }
    }
}

#[test]
fn what_is_typed_key_by_key_is_never_held_back() {
    let (mut filter, now) = (ReplyFilter::default(), Instant::now());
    for byte in b"\x1b[?1;2c \x1b]11;x\x1bP1\x1b\x1b[12;40R" {
        let filtered = filter.feed(&[*byte], now, |_| false);
        assert_eq!(filtered.bytes, [*byte]);
    }
}

#[test]
fn the_beginning_of_a_reply_is_released_after_a_moment() {
    let (mut filter, now) = (ReplyFilter::default(), Instant::now());
    assert_eq!(filter.feed(b"\x1b[?1;", now, |_| false), Filtered::default());
    let at = filter.expires_at().expect("a time");
    assert!(at <= now + Duration::from_millis(100));
    let released = filter.expired(at);
    assert_eq!((released.bytes.as_slice(), released.settled), (&b"\x1b[?1;"[..], 5));
    assert_eq!(filter.expires_at(), None);
}

#[test]
fn a_long_reply_is_dropped_without_being_held() {
    let long = [&b"\x1b]52;c;"[..], &vec![b'A'; 100_000], b"\x07"].concat();
    for (passes, expected) in [(true, long.len()), (false, 0)] {
        let messages: Vec<&[u8]> = long.chunks(1000).chain([&b"text"[..]]).collect();
        let (passed, _) = fed(&messages, passes);
        assert_eq!(passed.len(), expected + 4);
        assert!(passed.ends_with(b"text"));
    }
}

#[test]
fn each_question_is_answered_once() {
    let asked = b"\x1b[c\x1b[>c\x1b[=c\x1b[5n\x1b[?996n\x1b[6n\x1b[?6n\x1b]4;1;?\x07\x1b]10;?\x1b\\\x1b]11;?\x07\
        \x1b]52;c;?\x07\x1b[?2004$p\x1b[18t\x1b[?u\x1b[>q\x1bP$qm\x1b\\\x1bP+q544e\x1b\\";
    let mut open = OpenQuestions::default();
    for piece in asked.chunks(3) {
        open.follow(piece);
    }
    for reply in REPLIES {
        let mut filter = ReplyFilter::default();
        for expected in [reply, b""] {
            let filtered = filter.feed(reply, Instant::now(), |question| open.close(question));
            assert_eq!(filtered.bytes, expected, "{reply:?}");
        }
    }
}

#[test]
fn what_sets_something_is_no_question() {
    let mut open = OpenQuestions::default();
    open.follow(b"\x1b[1;31m\x1b]11;#000000\x07\x1b]0;what?!\x07\x1b[2 q\x1b[22;0t\x1b[>4;2m\x1b[>1u\x1b[?2004h\x1b[u");
    for reply in REPLIES {
        let filtered =
            ReplyFilter::default().feed(reply, Instant::now(), |question| open.close(question));
        assert_eq!(filtered.bytes, b"", "{reply:?}");
    }
}

fn parts() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&[u8]> =
        [&REPLIES[..], &KEYS, &REPORTS, &[b"\x1b[", b"?", b"1;2", b"c", b"\x07", b"\\"]].concat();
    let part = prop_oneof![
        prop::sample::select(known).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn nothing_is_changed_or_reordered_if_all_replies_pass(input in parts(), length in 1_usize..12) {
        let messages: Vec<&[u8]> = input.chunks(length).collect();
        prop_assert_eq!(fed(&messages, true).0, input);
    }

    #[test]
    fn each_byte_is_settled_once_if_replies_are_dropped(input in parts(), length in 1_usize..12) {
        let messages: Vec<&[u8]> = input.chunks(length).collect();
        prop_assert!(fed(&messages, false).0.len() <= input.len());
    }
}
