//! The forms of the command line that clap does not support.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, Error};

use crate::out::nearest;

/// Parses the arguments, the first being the command's own name. `zun` alone and `zun help VERB` are requests for help.
/// A flag may have a value, as in Docker's command: `--tty=false` and `-t=false` are as if they were not there.
pub(super) fn parse(command: &Command, arguments: &[OsString]) -> Result<ArgMatches, Error> {
    let mut arguments = with_help(arguments);
    loop {
        let error = match command.clone().try_get_matches_from(&arguments) {
            Ok(matches) => return Ok(matches),
            Err(error) => error,
        };
        let Some((place, flag)) = flag_with_value(&error, &arguments) else { return Err(error) };
        arguments.splice(place..=place, flag.map(OsString::from));
    }
}

fn with_help(arguments: &[OsString]) -> Vec<OsString> {
    let help = || OsString::from("--help");
    match arguments {
        [] | [_] => arguments.iter().take(1).cloned().chain([help()]).collect(),
        [own, word, verb @ ..] if word == "help" => {
            let verb = verb.iter().skip_while(|word| *word == "help");
            [own].into_iter().chain(verb).cloned().chain([help()]).collect()
        }
        _ => arguments.to_vec(),
    }
}

/// Returns the place of the argument that gives a flag a value, and what to put there.
fn flag_with_value(error: &Error, arguments: &[OsString]) -> Option<(usize, Option<String>)> {
    if error.kind() == ErrorKind::TooManyValues {
        return long_flag(error, arguments);
    }
    if error.kind() == ErrorKind::UnknownArgument { short_flags(error, arguments) } else { None }
}

/// Such as `--tty=false`.
fn long_flag(error: &Error, arguments: &[OsString]) -> Option<(usize, Option<String>)> {
    let given = context(error, ContextKind::InvalidValue)?;
    let value = boolean(given)?;
    // clap names the flag as in its usage, such as `--tty`.
    let flag = context(error, ContextKind::InvalidArg)?.split_whitespace().next()?;
    let argument = format!("{flag}={given}");
    let place = arguments.iter().position(|word| **word == *argument)?;
    Some((place, value.then(|| flag.to_owned())))
}

/// Such as `-it=false`: the value is that of the last flag. clap takes the `=` for another flag.
fn short_flags(error: &Error, arguments: &[OsString]) -> Option<(usize, Option<String>)> {
    if context(error, ContextKind::InvalidArg)? != "-=" {
        return None;
    }
    arguments.iter().enumerate().find_map(|(place, word)| {
        let (flags, value) = word.to_str()?.split_once('=')?;
        let letters = flags.strip_prefix('-').filter(|letters| !letters.is_empty())?;
        let value =
            boolean(value).filter(|_| letters.bytes().all(|it| it.is_ascii_alphabetic()))?;
        let kept = if value { flags } else { flags.get(..flags.len() - 1)? };
        Some((place, (kept != "-").then(|| kept.to_owned())))
    })
}

fn context(error: &Error, kind: ContextKind) -> Option<&str> {
    if let Some(ContextValue::String(text)) = error.get(kind) { Some(text) } else { None }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Some(true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Replaces the standard library's message for an invalid number, which does not say what is valid. The name of the
/// value says its unit.
pub(super) fn in_plain_words(message: &str) -> String {
    const WRONG: [&str; 5] = [
        "invalid digit found in string",
        "cannot parse integer from empty string",
        "number too large to fit in target type",
        "number too small to fit in target type",
        "invalid float literal",
    ];
    let right = if message.contains("<SECONDS>") {
        "use a whole number of seconds, such as 10"
    } else {
        "use a whole number, such as 10"
    };
    if let Some((before, after)) = message.split_once(" is not in ")
        && let Some((before, _number)) = before.rsplit_once(": ")
    {
        let rest = after.find('\n').and_then(|end| after.get(end..)).unwrap_or_default();
        return format!("{before}: {right}{rest}");
    }
    WRONG.iter().fold(message.to_owned(), |message, wrong| message.replace(wrong, right))
}

/// Returns the verb of the command line and its subverb, such as `image` and `pull`, if they are present. Ignores
/// everything after an unknown verb.
pub(super) fn verbs<'a>(
    command: &Command,
    arguments: &'a [OsString],
    error: &Error,
) -> Vec<&'a str> {
    let wrong = context(error, ContextKind::InvalidSubcommand);
    let mut command = command;
    let mut verbs = Vec::new();
    let words = arguments.iter().skip(1).filter_map(|word| word.to_str());
    for word in words.take_while(|word| Some(*word) != wrong) {
        if let Some(verb) = command.find_subcommand(word) {
            verbs.push(word);
            command = verb;
        }
    }
    verbs
}

/// Returns what the user probably meant, for a message. The last of several suggestions of clap is the nearest.
pub(super) fn suggestion(
    command: &Command,
    arguments: &[OsString],
    error: &Error,
) -> Option<String> {
    by_clap(error).or_else(|| near_verb(command, arguments, error))
}

/// Returns the verb that is most like an unknown one. clap does not find swapped letters.
fn near_verb(command: &Command, arguments: &[OsString], error: &Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let wrong = context(error, ContextKind::InvalidSubcommand)?;
    let before = arguments.iter().skip(1).filter_map(|word| word.to_str());
    let before = before.take_while(|word| *word != wrong);
    let group = before.fold(command, |group, word| group.find_subcommand(word).unwrap_or(group));
    let visible = group.get_subcommands().filter(|verb| !verb.is_hide_set());
    let names =
        visible.flat_map(|verb| [verb.get_name()].into_iter().chain(verb.get_visible_aliases()));
    nearest(wrong, names).map(str::to_owned)
}

fn by_clap(error: &Error) -> Option<String> {
    let kinds =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue];
    kinds.into_iter().find_map(|kind| {
        let value = error.get(kind)?;
        if let ContextValue::String(text) = value {
            return Some(text.clone());
        }
        if let ContextValue::Strings(texts) = value { texts.last().cloned() } else { None }
    })
}
