//! The forms of the command line that clap does not know.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, Error};

use crate::out::nearest;

/// Parses the arguments, the first being the command's own name. `zun` alone and `zun help VERB` are requests for help.
/// A flag may have a value, as in Docker's command: `--tty=false` is as if it was not there.
pub(super) fn parse(command: &Command, arguments: &[OsString]) -> Result<ArgMatches, Error> {
    let mut arguments = with_help(arguments);
    loop {
        let error = match command.clone().try_get_matches_from(&arguments) {
            Ok(matches) => return Ok(matches),
            Err(error) => error,
        };
        let Some((argument, value)) = flag_with_value(&error) else { return Err(error) };
        let Some(place) = arguments.iter().position(|given| **given == *argument) else {
            return Err(error);
        };
        let name = argument.split('=').next().unwrap_or_default().to_owned();
        arguments.splice(place..=place, value.then(|| name.into()));
    }
}

fn with_help(arguments: &[OsString]) -> Vec<OsString> {
    let help = || OsString::from("--help");
    match arguments {
        [] | [_] => arguments.iter().take(1).cloned().chain([help()]).collect(),
        [own, word, verb @ ..] if word == "help" => {
            [own].into_iter().chain(verb).cloned().chain([help()]).collect()
        }
        _ => arguments.to_vec(),
    }
}

/// Returns the argument that gives a flag a value, and that value.
fn flag_with_value(error: &Error) -> Option<(String, bool)> {
    if error.kind() != ErrorKind::TooManyValues {
        return None;
    }
    let text = |kind| {
        let value = error.get(kind);
        if let Some(ContextValue::String(text)) = value { Some(text.as_str()) } else { None }
    };
    let given = text(ContextKind::InvalidValue)?;
    let value = match given {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => true,
        "false" | "0" | "f" | "F" | "FALSE" | "False" => false,
        _ => return None,
    };
    // clap names the flag as in its usage, such as `--tty`.
    let flag = text(ContextKind::InvalidArg)?.split_whitespace().next()?;
    Some((format!("{flag}={given}"), value))
}

/// Returns the verb of the command line and the verb below it, such as `image` and `pull`, as far as they are there.
pub(super) fn verbs<'a>(command: &Command, arguments: &'a [OsString]) -> Vec<&'a str> {
    let mut command = command;
    let mut verbs = Vec::new();
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
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
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let before = arguments.iter().skip(1).filter_map(|word| word.to_str());
    let before = before.take_while(|word| word != wrong);
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
