//! Runs an action on each named container, on several at a time. If one fails, the others still get their turn.

use std::collections::HashSet;

use futures_util::stream::{self, StreamExt as _};

use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Format};

/// The number of containers that are worked on at a time.
const AT_A_TIME: usize = 16;

/// Runs `act` on each container and prints the names of those on which it succeeded, in the given order: one by one, or
/// as a list at the end with `--format json` or `yaml`.
pub(super) async fn for_each_container(
    context: &Context,
    names: &[String],
    act: impl AsyncFn(String) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let as_table = context.printer.format() == Format::Table;
    let mut done = Vec::new();
    let mut exit = Exit::OK;
    let distinct: HashSet<&String> = names.iter().collect();
    // One that is named twice has its turns one after the other.
    let at_a_time = if distinct.len() == names.len() { AT_A_TIME } else { 1 };
    let acts = names.iter().map(async |name| (name, act(name.clone()).await));
    let mut acts = std::pin::pin!(stream::iter(acts).buffered(at_a_time));
    while let Some((name, outcome)) = acts.next().await {
        match outcome {
            Ok(()) if as_table => context.printer.line(name)?,
            Ok(()) => done.push(name),
            Err(failure) => {
                if let Some(message) = failure.context(name).message {
                    out::notice(&message);
                }
                exit = Exit::FAILED;
            }
        }
    }
    if !as_table {
        context.printer.value(&done, String::new)?;
    }
    Ok(exit)
}
