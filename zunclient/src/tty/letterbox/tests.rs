//! Tests of what a window shows.

use super::*;

const TERMINAL: Size = Size { width: 20, height: 4 };

/// A window, and what is written to it.
struct Window {
    shown: vt100::Parser,
    letterbox: Letterbox,
}

impl Window {
    fn new(width: u16, height: u16) -> Self {
        let mut letterbox = Letterbox::new(true);
        letterbox.window_sized(Some(Size { width, height }));
        Self { shown: vt100::Parser::new(height, width, 0), letterbox }
    }

    fn write(&mut self, drawing: Drawing, output: &[u8]) {
        match drawing {
            Drawing::Output => self.shown.process(output),
            Drawing::Instead(drawn) => self.shown.process(&drawn),
            Drawing::Cleared(drawn) => {
                self.shown.process(b"\x1b[m\x1b[H\x1b[2J");
                self.shown.process(&drawn);
            }
        }
    }

    fn prints(&mut self, output: &[u8]) {
        let drawing = self.letterbox.printed(output);
        self.write(drawing, output);
    }

    fn sized(&mut self, is_own: bool) {
        let size = if is_own { self.letterbox.window.expect("one") } else { TERMINAL };
        let drawing = self.letterbox.terminal_sized(size, is_own);
        self.write(drawing, b"");
    }

    fn rows(&self) -> Vec<String> {
        let (_, width) = self.shown.screen().size();
        self.shown.screen().rows(0, width).collect()
    }
}

#[test]
fn a_larger_window_shows_the_terminal_in_its_corner_and_scrolls_only_there() {
    let mut window = Window::new(30, 8);
    window.prints(b"before\r\n");
    window.sized(false);
    window.prints(b"a line that is longer than it\r\n1\r\n2");
    let rows = window.rows();
    assert_eq!(rows[0], "a line that is longe│");
    assert_eq!(rows[1], "r than it           │");
    assert_eq!(
        (rows[2].as_str(), rows[3].as_str()),
        ("1                   │", "2                   │")
    );
    assert!(rows[4].starts_with(" 20x4: the size of another"), "{rows:?}");
    assert_eq!(window.shown.screen().cursor_position(), (3, 1));
    window.sized(true);
    // The wrapped line fits now.
    assert_eq!(window.rows()[..3], ["a line that is longer than it", "1", "2"]);
    window.prints(b"\r\n3");
    assert_eq!(window.rows()[3], "3");
}

#[test]
fn a_smaller_window_shows_the_part_with_the_cursor() {
    let mut window = Window::new(10, 3);
    window.sized(false);
    window.prints(b"first\r\nsecond\r\nthird\r\nabcdefghijklmn");
    assert_eq!(window.rows()[..2], ["", "fghijklmn"]);
    window.prints(b"\x1b[H");
    assert_eq!(window.rows()[..2], ["first", "second"]);
    assert_eq!(window.shown.screen().cursor_position(), (0, 0));
    assert_eq!(window.rows()[2], " 20x4: the");
}

#[test]
fn only_what_changes_is_drawn_and_nothing_if_the_sizes_are_the_same() {
    let mut window = Window::new(30, 8);
    window.sized(false);
    let Drawing::Instead(drawn) = window.letterbox.printed(b"x") else { panic!("it is boxed") };
    let drawn = String::from_utf8(drawn).expect("text");
    assert!(drawn.matches("\x1b[2K").count() == 1 && drawn.contains('x'), "{drawn:?}");
    let mut same = Window::new(TERMINAL.width, TERMINAL.height);
    same.sized(false);
    assert_eq!(same.letterbox.printed(b"x"), Drawing::Output);
    assert_eq!(same.letterbox.end(), b"");
    assert!(window.letterbox.end().ends_with(b"\x1b[?25h\x1b[8;1H\r\n"));
}

#[test]
fn a_program_that_has_printed_much_keeps_its_modes() {
    const MODES: [&str; 5] = ["\x1b[?1049h", "\x1b[?1002h", "\x1b[?2004h", "\x1b[?1h", "\x1b[2;3r"];
    let mut window = Window::new(TERMINAL.width + 10, TERMINAL.height);
    // The last sequence is split where the tail begins.
    window.prints(&[MODES.concat().into_bytes(), vec![b'x'; TAIL - 2]].concat());
    for _ in 0..3 {
        window.prints(&vec![b'y'; TAIL / 2]);
    }
    window.prints(b"\x1b[H\x1b[2Jat last");
    window.sized(false);
    assert_eq!(window.rows()[0], "at last             │");
    let own = window.letterbox.window.expect("one");
    let Drawing::Cleared(drawn) = window.letterbox.terminal_sized(own, true) else {
        panic!("it fills the window again")
    };
    let drawn = String::from_utf8(drawn).expect("text");
    for mode in ["?1049h", "?1002h", "?2004h", "?1h", "2;3r"] {
        assert!(drawn.contains(mode), "{mode} in {drawn:?}");
    }
    assert!(drawn.contains("at last"), "{drawn:?}");
    // A whole screen brings its own modes.
    window.letterbox.snapshot(b"$ ");
    window.sized(false);
    let Drawing::Cleared(drawn) = window.letterbox.terminal_sized(own, true) else {
        panic!("it fills the window again")
    };
    assert!(!String::from_utf8_lossy(&drawn).contains("?1002h"));
}

#[test]
fn a_window_of_any_size_is_never_drawn_beyond() {
    for (width, height) in [(1, 1), (2, 9), (200, 2), (20, 1)] {
        let mut window = Window::new(width, height);
        window.sized(false);
        window.prints(b"\x1b[4;20Hx\r\n\xe6\xbc\xa2\r\n");
        let drawing = window.letterbox.window_sized(Some(Size { width: 7, height: 2 }));
        assert!(matches!(drawing, Drawing::Instead(_)), "{drawing:?}");
    }
}
