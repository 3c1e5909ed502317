//! Draws a model's screens with sequences that all terminals understand.
//!
//! The model can write itself, but uses sequences that some terminals do not know: repetitions, colours with colons, and
//! the private mode 1047. So this module parses the model's dump, and writes each control function in a form that all
//! terminals understand.

use crate::terminal::TerminalModes;
use avt::parser::{CtcOp, DecMode, Function, Parser, SgrOp};
use avt::{Color, ScreenKind, Terminal};

/// How much is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// Both screens.
    All,
    /// The active screen.
    Active,
    /// The active screen without colours and other attributes.
    Plain,
}

/// Draws as much as fits into `limit` bytes. Returns whether that is all, and equals the model.
pub(super) fn within(terminal: &Terminal, modes: &TerminalModes, limit: usize) -> (Vec<u8>, bool) {
    let dump = terminal.dump();
    for detail in [Detail::All, Detail::Active, Detail::Plain] {
        let Drawing { out, loses_origin, .. } = Drawing::of(terminal, modes, (&dump, detail));
        if out.len() <= limit {
            return (out.into_bytes(), detail == Detail::All && !loses_origin);
        }
    }
    (Vec::new(), false)
}

/// A drawing that grows.
struct Drawing<'a> {
    out: String,
    modes: &'a TerminalModes,
    detail: Detail,
    columns: u16,
    /// Whether the alternate screen is shown.
    is_alternate: bool,
    /// The character that was printed last.
    printed: char,
    /// The attributes that are set, one bit for each kind.
    set: u8,
    blanks: Blanks,
    /// Where the cursor was put last, as row and column.
    cursor: (u16, u16),
    /// The attributes that were set last.
    attributes: String,
    saved: Saved,
    /// Whether origin mode may be off after it, although it is on. A resize can leave the cursor outside of the margins. In
    /// origin mode, only restoring a saved cursor moves it there, which also restores the saved mode.
    loses_origin: bool,
}

/// Blanks that are written only if something follows them in their row.
#[derive(Debug, Default)]
struct Blanks {
    count: usize,
    /// Whether their row has something before them.
    row_begun: bool,
}

/// The cursor that the primary screen has saved.
#[derive(Debug, Clone)]
struct Saved {
    cursor: (u16, u16),
    attributes: String,
    /// Whether it has modes that are set only while it is saved.
    has_modes: bool,
}

impl<'a> Drawing<'a> {
    fn of(terminal: &Terminal, modes: &'a TerminalModes, (dump, detail): (&str, Detail)) -> Self {
        let columns = u16::try_from(terminal.size().0).unwrap_or(u16::MAX);
        let mut drawing = Self {
            out: String::with_capacity(dump.len()),
            modes,
            detail,
            columns,
            is_alternate: terminal.active_screen_kind() == ScreenKind::Alternate,
            printed: ' ',
            set: 0,
            blanks: Blanks::default(),
            cursor: (1, 1),
            attributes: String::new(),
            saved: Saved { cursor: (1, 1), attributes: String::new(), has_modes: false },
            loses_origin: false,
        };
        let (mut parser, mut begin) = (Parser::new(), 0);
        for (at, character) in dump.char_indices() {
            if let Some(function) = parser.feed(character) {
                let end = at + character.len_utf8();
                drawing.function(&function, dump.get(begin..end).unwrap_or_default());
                begin = end;
            }
        }
        drawing
    }

    /// Draws a control function. `words` is the sequence for it in the model's dump.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others are written as they are")]
    fn function(&mut self, function: &Function, words: &str) {
        match function {
            Function::Print(character) => {
                self.printed = *character;
                self.print(1);
            }
            Function::Rep(times) => self.print(usize::from(*times)),
            Function::Sgr(_) if self.detail == Detail::Plain => {}
            Function::Sgr(operations) => {
                self.write_blanks();
                self.set = operations.as_slice().iter().copied().fold(self.set, after);
                self.attributes = attributes(operations.as_slice());
                self.out.push_str(&self.attributes);
            }
            Function::Ctc(operation) => self.out.push_str(match operation {
                CtcOp::Set => "\x1bH",
                CtcOp::ClearCurrentColumn => "\x1b[g",
                CtcOp::ClearAll => "\x1b[3g",
            }),
            Function::Decset(modes) if modes.as_slice() == [DecMode::AltScreenBuffer] => {
                self.enter_alternate(words);
            }
            other => {
                self.remember(other);
                self.out.push_str(words);
            }
        }
    }

    fn print(&mut self, times: usize) {
        if self.printed == ' ' && self.set == 0 {
            self.blanks.count += times;
            return;
        }
        self.write_blanks();
        self.out.extend(std::iter::repeat_n(self.printed, times));
        self.blanks.row_begun = true;
    }

    fn write_blanks(&mut self) {
        let count = std::mem::take(&mut self.blanks.count);
        self.out.extend(std::iter::repeat_n(' ', count));
        self.blanks.row_begun |= count > 0;
    }

    /// Ends a row. Drops the blanks at its end, unless the whole row is blank and continues a longer line.
    fn end_row(&mut self) {
        let columns = usize::from(self.columns);
        let Blanks { count, row_begun } = self.blanks;
        if count > columns || (row_begun && count == columns) {
            self.write_blanks();
        }
        self.blanks = Blanks::default();
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the others do not matter here")]
    fn remember(&mut self, function: &Function) {
        if matches!(function, Function::Cr | Function::Cup(..)) {
            self.end_row();
        } else if *function != Function::Lf {
            self.write_blanks();
        }
        match function {
            Function::Cup(row, column) => self.cursor = (*row, (*column).min(self.columns)),
            Function::Decset(_) | Function::Decrst(_) => self.saved.has_modes = true,
            Function::Scorc => self.loses_origin = true,
            Function::Decsc => {
                self.saved.cursor = self.cursor;
                self.saved.attributes.clone_from(&self.attributes);
            }
            _ => {}
        }
    }

    /// Enters the alternate screen. The dump uses mode 1047, which some terminals do not know. Mode 1049 also saves the
    /// cursor, so it is used if that changes nothing.
    fn enter_alternate(&mut self, words: &str) {
        if self.is_alternate && self.detail != Detail::All {
            self.out.clear();
        }
        let Saved { cursor, attributes, has_modes } = &self.saved;
        let is_same = *cursor == self.cursor && !has_modes;
        if self.is_alternate && is_same && self.modes.alternate() == Some(1049) {
            // A terminal fills the alternate screen with the background that is set when it enters it.
            self.out.push_str(attributes);
            self.out.push_str("\x1b[?1049h\x1b[m\x1b[2J");
        } else {
            self.out.push_str(words);
        }
    }
}

/// The attributes that are set after an operation, one bit for each kind.
const fn after(set: u8, operation: SgrOp) -> u8 {
    match operation {
        SgrOp::Reset => 0,
        SgrOp::SetBoldIntensity | SgrOp::SetFaintIntensity => set | 1,
        SgrOp::SetItalic => set | 2,
        SgrOp::SetUnderline => set | 4,
        SgrOp::SetBlink => set | 8,
        SgrOp::SetInverse => set | 16,
        SgrOp::SetStrikethrough => set | 32,
        SgrOp::ResetIntensity => set & !1,
        SgrOp::ResetItalic => set & !2,
        SgrOp::ResetUnderline => set & !4,
        SgrOp::ResetBlink => set & !8,
        SgrOp::ResetInverse => set & !16,
        SgrOp::ResetStrikethrough => set & !32,
        SgrOp::SetForegroundColor(_) => set | 64,
        SgrOp::ResetForegroundColor => set & !64,
        SgrOp::SetBackgroundColor(_) => set | 128,
        SgrOp::ResetBackgroundColor => set & !128,
    }
}

fn attributes(operations: &[SgrOp]) -> String {
    let words: Vec<_> = operations.iter().copied().map(attribute).collect();
    if words.is_empty() { String::new() } else { format!("\x1b[{}m", words.join(";")) }
}

fn attribute(operation: SgrOp) -> String {
    let number = match operation {
        SgrOp::Reset => 0,
        SgrOp::SetBoldIntensity => 1,
        SgrOp::SetFaintIntensity => 2,
        SgrOp::SetItalic => 3,
        SgrOp::SetUnderline => 4,
        SgrOp::SetBlink => 5,
        SgrOp::SetInverse => 7,
        SgrOp::SetStrikethrough => 9,
        SgrOp::ResetIntensity => 22,
        SgrOp::ResetItalic => 23,
        SgrOp::ResetUnderline => 24,
        SgrOp::ResetBlink => 25,
        SgrOp::ResetInverse => 27,
        SgrOp::ResetStrikethrough => 29,
        SgrOp::SetForegroundColor(color) => return colour(30, color),
        SgrOp::ResetForegroundColor => 39,
        SgrOp::SetBackgroundColor(color) => return colour(40, color),
        SgrOp::ResetBackgroundColor => 49,
    };
    u8::to_string(&number)
}

/// `base` is 30 for the foreground and 40 for the background.
fn colour(base: u8, color: Color) -> String {
    match color {
        Color::Indexed(index @ 0..=7) => (base + index).to_string(),
        Color::Indexed(index @ 8..=15) => (base + 52 + index).to_string(),
        Color::Indexed(index) => format!("{};5;{index}", base + 8),
        Color::RGB(rgb) => format!("{};2;{};{};{}", base + 8, rgb.r, rgb.g, rgb.b),
    }
}
