//! The same for each named container: one that fails does not keep the others from their turn.

use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out;

/// Does something to each and prints the names of those to which it was done.
pub(super) async fn each(
    context: &Context,
    names: &[String],
    act: impl AsyncFn(String) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let mut exit = Exit::OK;
    for name in names {
        match act(name.clone()).await {
            Ok(()) => context.printer.line(name)?,
            Err(failure) => {
                if let Some(words) = failure.about(name).words {
                    out::note(&words);
                }
                exit = Exit::FAILED;
            }
        }
    }
    Ok(exit)
}
