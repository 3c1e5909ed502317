//! Runs an action on several things concurrently. If it fails on one, it still runs on the others.

use std::collections::HashSet;

use futures_util::stream::{self, StreamExt as _};

use crate::cmd::missing::with_similar_name;
use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out;

/// The largest number of actions that run at the same time.
const MAX_CONCURRENT: usize = 16;

/// Runs `act` on each name and prints the names of those on which it succeeded, in the given order: one by one, or
/// as a list at the end with `--format json` or `yaml`. A failure with the exit code 0 is only reported.
pub(in crate::cmd) async fn for_each(
    context: &Context,
    names: &[String],
    act: impl AsyncFn(String) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let as_table = context.printer.format().is_text();
    let mut done = Vec::new();
    let mut exit = Exit::OK;
    let distinct: HashSet<&String> = names.iter().collect();
    // If one is named twice, two actions on it must not run at the same time.
    let max_concurrent = if distinct.len() == names.len() { MAX_CONCURRENT } else { 1 };
    let acts = names.iter().map(async |name| (name, act(name.clone()).await));
    let mut acts = std::pin::pin!(stream::iter(acts).buffered(max_concurrent));
    while let Some((name, outcome)) = acts.next().await {
        match outcome {
            Ok(()) if as_table => context.printer.line(name)?,
            Ok(()) => done.push(name),
            Err(failure) => {
                let failure = context.refused_fields.in_words(failure.context(name));
                let failure = with_similar_name(context, failure).await;
                if let Some(message) = failure.message {
                    out::notice(&message);
                }
                if failure.exit != Some(Exit::OK) {
                    exit = Exit::FAILED;
                }
            }
        }
    }
    if !as_table {
        context.printer.value(&done, String::new)?;
    }
    Ok(exit)
}
