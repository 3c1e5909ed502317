//! The parts of a control sequence.

/// A control sequence with a final byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Csi<'a> {
    /// One of `<`, `=`, `>` and `?`, which makes it private.
    pub marker: Option<u8>,
    /// Numbers, which `;` separates. `:` separates parts of a number.
    pub parameters: &'a [u8],
    /// Bytes before the last one, such as a space.
    pub intermediates: &'a [u8],
    /// The last byte, which says what the sequence does.
    pub last: u8,
}

/// What a sequence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence<'a> {
    /// `ESC [ …`
    Csi(Csi<'a>),
    /// `ESC`, perhaps with intermediate bytes, and a last byte.
    Escape {
        /// Bytes before the last one, such as `(`.
        intermediates: &'a [u8],
        /// The last byte.
        last: u8,
    },
    /// `ESC ] …`, without its end.
    Osc(&'a [u8]),
    /// `ESC P …`, without its end.
    Dcs(&'a [u8]),
    /// Another string.
    Other,
}

impl<'a> Sequence<'a> {
    /// Splits a complete sequence. `None` if it is not one.
    pub fn read(sequence: &'a [u8]) -> Option<Self> {
        let (_escape, rest) = sequence.split_first().filter(|(first, _)| **first == 0x1b)?;
        match rest.split_first()? {
            (b'[', rest) => Csi::read(rest).map(Self::Csi),
            (b']', rest) => Some(Self::Osc(content(rest))),
            (b'P', rest) => Some(Self::Dcs(content(rest))),
            (b'X' | b'^' | b'_', _) => Some(Self::Other),
            _ => {
                let (last, intermediates) = rest.split_last()?;
                Some(Self::Escape { intermediates, last: *last })
            }
        }
    }
}

/// A string without what ends it.
fn content(string: &[u8]) -> &[u8] {
    string.strip_suffix(b"\x07").or_else(|| string.strip_suffix(b"\x1b\\")).unwrap_or(string)
}

impl<'a> Csi<'a> {
    fn read(rest: &'a [u8]) -> Option<Self> {
        let (last, rest) = rest.split_last()?;
        let (marker, rest) = match rest.split_first() {
            Some((marker @ b'<'..=b'?', rest)) => (Some(*marker), rest),
            Some(_) | None => (None, rest),
        };
        let is_parameter = |byte: &u8| matches!(byte, b'0'..=b'?');
        let length = rest.iter().take_while(|byte| is_parameter(byte)).count();
        let (parameters, intermediates) = rest.split_at(length);
        Some(Self { marker, parameters, intermediates, last: *last })
    }

    /// The numbers. A missing or impossible one is 0, as for terminals.
    pub fn numbers(&self) -> impl Iterator<Item = u16> + 'a {
        self.parameters.split(|byte| *byte == b';').map(number)
    }

    /// The first number, or 0.
    pub fn first(&self) -> u16 {
        self.numbers().next().unwrap_or_default()
    }

    /// Whether it has this marker, last byte, and no intermediate bytes.
    pub fn is(&self, marker: Option<u8>, last: u8) -> bool {
        self.marker == marker && self.intermediates.is_empty() && self.last == last
    }
}

fn number(digits: &[u8]) -> u16 {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}
