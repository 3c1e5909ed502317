//! Docker's notation of detach keys: `ctrl-p,ctrl-q` or `ctrl-a,d`. An empty text disables detaching, whereas Docker
//! would use its default keys.

use std::str::FromStr;

/// The bytes that detach from a console when they are typed one after the other. If there are none, detaching is
/// disabled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

/// The text is not a sequence of keys.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a key: use single ASCII characters or ctrl- with one of a-z @ [ \\ ] ^ _, separated by commas"
)]
pub struct NotAKey(String);

impl DetachKeys {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Default for DetachKeys {
    fn default() -> Self {
        Self(vec![0x10, 0x11])
    }
}

impl FromStr for DetachKeys {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        if text.is_empty() {
            return Ok(Self(Vec::new()));
        }
        let bytes = text.split(',').map(|word| key(word).ok_or_else(|| NotAKey(word.to_owned())));
        Ok(Self(bytes.collect::<Result<_, _>>()?))
    }
}

fn key(word: &str) -> Option<u8> {
    if let Some(letter) = word.strip_prefix("ctrl-") {
        return match *letter.as_bytes() {
            [letter @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')] => {
                Some(letter.to_ascii_uppercase() & 0x1f)
            }
            _ => None,
        };
    }
    match *word.as_bytes() {
        [single] if single.is_ascii() => Some(single),
        _ => None,
    }
}

/// The escape character: typed at a line start and followed by a dot, it disconnects even if the link is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EscapeCharacter(pub Option<u8>);

/// The text is not an escape character.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an escape character: use one ASCII character, or `none`")]
pub struct NotAnEscape(String);

impl Default for EscapeCharacter {
    fn default() -> Self {
        Self(Some(b'~'))
    }
}

impl FromStr for EscapeCharacter {
    type Err = NotAnEscape;

    fn from_str(text: &str) -> Result<Self, NotAnEscape> {
        match text.as_bytes() {
            b"none" => Ok(Self(None)),
            [single] if single.is_ascii_graphic() => Ok(Self(Some(*single))),
            _ => Err(NotAnEscape(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_docker_reads_them() {
        let bytes = |text: &str| text.parse::<DetachKeys>().map(|keys| keys.bytes().to_vec());
        assert_eq!(bytes("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(bytes("ctrl-a,d"), Ok(vec![1, b'd']));
        assert_eq!(
            bytes("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_"),
            Ok(vec![0, 27, 28, 29, 30, 31])
        );
        assert_eq!(bytes(""), Ok(Vec::new()));
        assert_eq!(DetachKeys::default().bytes(), [16, 17]);
    }

    #[test]
    fn what_is_no_key_is_named() {
        for bad in ["ctrl-", "ctrl-P", "ctrl-ab", "ab", "a,,b", "ü", "shift-a"] {
            assert!(bad.parse::<DetachKeys>().is_err(), "{bad}");
        }
        assert!("ab".parse::<EscapeCharacter>().is_err());
        assert_eq!("none".parse(), Ok(EscapeCharacter(None)));
        assert_eq!("%".parse(), Ok(EscapeCharacter(Some(b'%'))));
    }
}
