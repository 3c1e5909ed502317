//! The same for each named container: one that fails does not keep the others from their turn.

use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Format};

/// Does something to each and prints the names of those to which it was done: one by one, or as a list at the end for
/// a program.
pub(super) async fn each(
    context: &Context,
    names: &[String],
    act: impl AsyncFn(String) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let people = context.printer.format() == Format::Table;
    let mut done = Vec::new();
    let mut exit = Exit::OK;
    for name in names {
        match act(name.clone()).await {
            Ok(()) if people => context.printer.line(name)?,
            Ok(()) => done.push(name),
            Err(failure) => {
                if let Some(words) = failure.about(name).words {
                    out::note(&words);
                }
                exit = Exit::FAILED;
            }
        }
    }
    if !people {
        context.printer.value(&done, String::new)?;
    }
    Ok(exit)
}
