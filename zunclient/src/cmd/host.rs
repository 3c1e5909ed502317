//! `zun host`: hosts, for administrators.

use clap::{Args, Subcommand};

use super::{Context, Failure};
use crate::exit::Exit;

/// Manage hosts (administrators)
#[derive(Debug, Args)]
#[command(
    disable_help_subcommand = true,
    after_help = "\
Example:
  zun host replace compute1"
)]
pub(super) struct Host {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Replace(Replace),
}

/// Confirm that a host's machine or Docker data was replaced
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  zun host replace compute1

A host with another Docker engine than before is refused while it has
containers, because these are lost. Confirm the loss, then its agent registers
by itself. The lost containers are shown in status Error.")]
struct Replace {
    /// Name of the host
    host: String,
}

impl Host {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let Verb::Replace(Replace { host }) = self.verb;
        context.api.replace_host(&host).await?;
        context.printer.line(&host)?;
        Ok(Exit::OK)
    }
}
