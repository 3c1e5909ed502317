//! The modes that programs set in a terminal.

use super::sequence::{Csi, Sequence};

/// The private modes that are followed. 2026 (synchronized output) is not: it only lasts for a moment.
const FOLLOWED: [u16; 19] = [
    1, 5, 6, 7, 9, 25, 1000, 1002, 1003, 1004, 1005, 1006, 1007, 1015, 1016, 1034, 2004, 2031, 2048,
];
/// Those of them that are on in a fresh terminal.
const ON: [u16; 3] = [7, 25, 1007];
/// Those of them that belong to the screen's content, which [`TerminalModes::restore`] leaves to the code that draws
/// it.
const OF_CONTENT: [u16; 4] = [1, 6, 7, 25];
/// Application keypad.
const KEYPAD: u16 = 66;
/// The alternate screen.
const ALTERNATE: [u16; 3] = [47, 1047, 1049];
/// The most titles and keyboard flags that a program can push.
const MOST_KEPT: usize = 16;
/// The longest title, in bytes.
const LONGEST_TITLE: usize = 1024;

/// The modes of a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent modes")]
pub struct TerminalModes {
    /// The private modes that are not as in a fresh terminal, in the order in which they were set.
    changed: Vec<u16>,
    /// The mode by which the alternate screen was entered.
    alternate: Option<u16>,
    keypad: bool,
    /// The cursor's shape, 0 for the terminal's own.
    cursor: u16,
    title: Option<Vec<u8>>,
    titles: Vec<Option<Vec<u8>>>,
    /// xterm's modifyOtherKeys.
    other_keys: u16,
    /// The flags of kitty's keyboard protocol, the newest last, of the primary and of the alternate screen.
    keyboard: [Vec<u16>; 2],
    /// Insert mode.
    insert: bool,
    /// Margins that were set.
    margins: bool,
    /// A character set other than ASCII.
    charset: bool,
    /// Colours or other attributes.
    attributes: bool,
}

impl TerminalModes {
    /// The mode by which the alternate screen was entered: 47, 1047 or 1049. `None` on the primary screen.
    pub const fn alternate(&self) -> Option<u16> {
        self.alternate
    }

    /// Follows a sequence of the program.
    pub fn follow(&mut self, sequence: &Sequence<'_>) {
        match sequence {
            Sequence::Csi(csi) => self.control(csi),
            Sequence::Escape { intermediates, last } => self.escape(intermediates, *last),
            Sequence::Osc(content) => self.name(content),
            Sequence::Dcs(_) | Sequence::Other => {}
        }
    }

    /// Follows the control characters in text: shift out and shift in select the character set.
    pub fn shifted(&mut self, text: &[u8]) {
        if let Some(shift) = text.iter().rev().find(|byte| matches!(byte, 0x0e | 0x0f)) {
            self.charset = *shift == 0x0e;
        }
    }

    fn escape(&mut self, intermediates: &[u8], last: u8) {
        match (intermediates, last) {
            ([], b'=') => self.keypad = true,
            ([], b'>') => self.keypad = false,
            ([], b'c') => *self = Self { title: self.title.take(), ..Self::default() },
            ([b'('], set) => self.charset = set != b'B',
            _ => {}
        }
    }

    fn control(&mut self, csi: &Csi<'_>) {
        match (csi.marker, csi.intermediates, csi.last) {
            (Some(b'?'), [], b'h') => csi.numbers().for_each(|mode| self.set(mode, true)),
            (Some(b'?'), [], b'l') => csi.numbers().for_each(|mode| self.set(mode, false)),
            (None, [], b'h' | b'l') if csi.numbers().any(|mode| mode == 4) => {
                self.insert = csi.last == b'h';
            }
            (None, [], b'm') => self.attributes = !matches!(csi.parameters, b"" | b"0"),
            (None, [], b'r') => self.margins = !csi.parameters.is_empty(),
            (None, [], b't') => self.push_or_pop_title(csi),
            (None, [b' '], b'q') => self.cursor = csi.first(),
            (None, [b'!'], b'p') => self.soft_reset(),
            (Some(b'>'), [], b'm') => {
                let mut numbers = csi.numbers();
                if matches!(numbers.next(), Some(0 | 4)) {
                    self.other_keys = numbers.next().unwrap_or_default();
                }
            }
            (Some(marker), [], b'u') => self.keyboard(marker, csi),
            _ => {}
        }
    }

    fn set(&mut self, mode: u16, on: bool) {
        if ALTERNATE.contains(&mode) {
            self.alternate = if on { self.alternate.or(Some(mode)) } else { None };
        } else if mode == KEYPAD {
            self.keypad = on;
        } else if FOLLOWED.contains(&mode) {
            self.changed.retain(|changed| *changed != mode);
            if on != ON.contains(&mode) {
                self.changed.push(mode);
            }
        }
    }

    fn soft_reset(&mut self) {
        self.changed.retain(|mode| !OF_CONTENT.contains(mode));
        self.keypad = false;
        self.insert = false;
        self.margins = false;
        self.charset = false;
        self.attributes = false;
    }

    fn name(&mut self, content: &[u8]) {
        let Some(title) = content.strip_prefix(b"0;").or_else(|| content.strip_prefix(b"2;"))
        else {
            return;
        };
        if title.len() <= LONGEST_TITLE {
            self.title = Some(title.to_vec());
        }
    }

    fn push_or_pop_title(&mut self, csi: &Csi<'_>) {
        let mut numbers = csi.numbers();
        match (numbers.next(), numbers.next().unwrap_or_default()) {
            (Some(22), 0 | 2) if self.titles.len() < MOST_KEPT => {
                self.titles.push(self.title.clone());
            }
            (Some(23), 0 | 2) => {
                if let Some(title) = self.titles.pop() {
                    self.title = title;
                }
            }
            _ => {}
        }
    }

    fn keyboard(&mut self, marker: u8, csi: &Csi<'_>) {
        let [primary, alternate] = &mut self.keyboard;
        let flags = if self.alternate.is_some() { alternate } else { primary };
        match marker {
            b'>' => {
                if flags.len() == MOST_KEPT {
                    flags.remove(0);
                }
                flags.push(csi.first());
            }
            b'<' => {
                let left = flags.len().saturating_sub(usize::from(csi.first().max(1)));
                flags.truncate(left);
            }
            b'=' => {
                let former = flags.pop().unwrap_or_default();
                let now = csi.first();
                flags.push(match csi.numbers().nth(1) {
                    Some(2) => former | now,
                    Some(3) => former & !now,
                    Some(_) | None => now,
                });
            }
            _ => {}
        }
    }

    fn keyboard_flags(&self) -> &[u16] {
        let [primary, alternate] = &self.keyboard;
        if self.alternate.is_some() { alternate } else { primary }
    }

    /// Returns the sequences that set these modes in a fresh terminal, to be written after the screen was drawn, with
    /// its cursor, margins, insert mode and alternate screen.
    pub fn restore(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for mode in self.changed.iter().filter(|mode| !OF_CONTENT.contains(mode)) {
            out.extend(private(*mode, !ON.contains(mode)));
        }
        if self.keypad {
            out.extend(b"\x1b=");
        }
        if self.cursor != 0 {
            out.extend(format!("\x1b[{} q", self.cursor).bytes());
        }
        if self.other_keys != 0 {
            out.extend(format!("\x1b[>4;{}m", self.other_keys).bytes());
        }
        for flags in self.keyboard_flags() {
            out.extend(format!("\x1b[>{flags}u").bytes());
        }
        if let Some(title) = &self.title {
            out.extend([b"\x1b]2;", title.as_slice(), b"\x1b\\"].concat());
        }
        out
    }

    /// Returns the sequences that reset these modes to those of a fresh terminal, and switch to the primary screen.
    /// Empty if nothing differs. The title stays.
    pub fn reset(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for mode in &self.changed {
            out.extend(private(*mode, ON.contains(mode)));
        }
        // Each screen has its own flags.
        let [primary, alternate] = &self.keyboard;
        let undo: [(bool, &[u8]); 10] = [
            (self.alternate.is_some() && !alternate.is_empty(), b"\x1b[<16u"),
            (self.alternate.is_some(), b"\x1b[?1049l"),
            (!primary.is_empty(), b"\x1b[<16u"),
            (self.keypad, b"\x1b>"),
            (self.cursor != 0, b"\x1b[0 q"),
            (self.other_keys != 0, b"\x1b[>4m"),
            (self.insert, b"\x1b[4l"),
            // Setting the margins moves the cursor.
            (self.margins, b"\x1b7\x1b[r\x1b8"),
            (self.charset, b"\x0f\x1b(B"),
            (self.attributes, b"\x1b[m"),
        ];
        for (_, bytes) in undo.iter().filter(|(is_set, _)| *is_set) {
            out.extend(*bytes);
        }
        out
    }
}

fn private(mode: u16, on: bool) -> Vec<u8> {
    format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' }).into_bytes()
}
