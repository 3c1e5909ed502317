//! Runs an action on each named container. If one fails, the others still get their turn.

use crate::cmd::{Context, Failure};
use crate::exit::Exit;
use crate::out::{self, Format};

/// Runs `act` on each container and prints the names of those on which it succeeded: one by one, or as a list at the
/// end with `--format json` or `yaml`.
pub(super) async fn for_each_container(
    context: &Context,
    names: &[String],
    act: impl AsyncFn(String) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let as_table = context.printer.format() == Format::Table;
    let mut done = Vec::new();
    let mut exit = Exit::OK;
    for name in names {
        match act(name.clone()).await {
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
