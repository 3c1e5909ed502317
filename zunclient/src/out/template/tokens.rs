//! The words of an action.

use super::escapes;

/// A word of an action.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A field such as `.Name`, a variable, a function, or a number.
    Name(String),
    Text(String),
    Pipe,
    Open,
    /// The end of a group, and the fields of its value, such as `.Source`.
    Close(String),
}

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let after = rest.get(first.len_utf8()..).unwrap_or_default();
        let (token, left) = match first {
            '"' | '`' => quoted(first, after)?,
            '|' => (Token::Pipe, after),
            '(' => (Token::Open, after),
            ')' => {
                let (path, left) = after.split_at(end_of_name(after));
                (Token::Close(path.to_owned()), left)
            }
            _ => {
                let (name, left) = rest.split_at(end_of_name(rest));
                (Token::Name(name.to_owned()), left)
            }
        };
        found.push(token);
        rest = left.trim_start();
    }
    Ok(found)
}

fn end_of_name(text: &str) -> usize {
    let is_end = |one: char| one.is_whitespace() || matches!(one, '|' | '(' | ')' | '"' | '`');
    text.find(is_end).unwrap_or(text.len())
}

/// A text in quotes. In double ones, a backslash is before a quote or a letter.
fn quoted(quote: char, rest: &str) -> Result<(Token, &str), String> {
    let mut text = String::new();
    let mut characters = rest.char_indices();
    while let Some((at, character)) = characters.next() {
        if character == quote {
            let after = rest.get(at + 1..).unwrap_or_default();
            return Ok((Token::Text(text), after));
        }
        if character != '\\' || quote == '`' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
            Some((_, letter)) => text.push_str(&escapes(&format!("\\{letter}"))),
            None => break,
        }
    }
    Err(format!("the template has an unterminated string {quote}{rest}"))
}
